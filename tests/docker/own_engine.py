"""A Docker engine of a test's own, so that it can be killed and its disk filled; the machine's own is not touched.

Needs root, `dockerd` and `containerd` (Debian: docker.io). Nothing of it is left after `destroy`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import docker
import docker.errors
import requests.exceptions

STARTS_WITHIN = 60.0
"""Seconds. An engine that was killed first stops the containers that outlived it."""


class OwnEngine:
    """One dockerd with its containerd, below one folder. Its containers have no network."""

    def __init__(self, folder: Path, disk_bytes: int) -> None:
        self.folder = folder
        self.disk = folder / "disk"
        """Its data-root lies on this small filesystem."""
        mount_small_disk(self.disk, disk_bytes)
        (folder / "daemon.json").write_text("{}")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.folder}/sock"

    @property
    def environment(self) -> dict[str, str]:
        """For a client process."""
        return {**os.environ, "DOCKER_HOST": self.host}

    @contextlib.contextmanager
    def client(self) -> Iterator[docker.DockerClient]:
        """A client of it."""
        client = docker.DockerClient(base_url=self.host, timeout=30)
        try:
            yield client
        finally:
            client.close()

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        self._process = self._process or self._spawn()
        wait_until(self._answers, STARTS_WITHIN, "the test's own engine answers")

    def _spawn(self) -> subprocess.Popen[bytes]:
        places = {"data-root": "disk/data", "exec-root": "exec", "pidfile": "pid", "config-file": "daemon.json"}
        # in a network namespace of its own: `--bridge none` deletes docker0, which the machine's engine needs
        command = ["unshare", "--net", "dockerd", "-H", self.host, "--bridge", "none", "--iptables=false"]
        # it says that it has two processors, so that as many containers run at a time on every machine
        command = ["taskset", "--cpu-list", ",".join(map(str, sorted(os.sched_getaffinity(0))[:2])), *command]
        command += [f"--{option}={self.folder / place}" for option, place in places.items()]
        with (self.folder / "log").open("ab") as log:
            environment = {**os.environ, "TMPDIR": str(self.folder)}  # where containerd leaves a dump of its stacks
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=environment)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        with contextlib.suppress(docker.errors.DockerException, requests.exceptions.RequestException):
            with self.client() as client:
                client.ping()
            return True
        return False

    def end(self, number: signal.Signals) -> None:
        """End it: at once (SIGKILL), or politely (SIGTERM), which stops its containers."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None
            # its containerd has ended with it; where nobody reaps that, the next dockerd would take it for alive
            (self.folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    def load(self, images: Sequence[str]) -> None:
        """Copy images of the machine's engine into it."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
            subprocess.run(
                ["docker", "load"], stdin=saved.stdout, env=self.environment, check=True, capture_output=True
            )
        assert saved.returncode == 0

    def containers(self) -> list[str]:
        """Names of all its containers."""
        with self.client() as client:
            return [container["Names"][0].lstrip("/") for container in client.api.containers(all=True)]

    def processes(self, container: str) -> dict[int, str]:
        """What runs in the containers with such a name: the number that it has on this machine, and its command."""
        found: dict[int, str] = {}
        with self.client() as client:
            for running in client.api.containers(filters={"name": container}):
                with contextlib.suppress(docker.errors.APIError):  # it has just ended
                    rows = client.api.top(running["Id"])["Processes"] or []
                    found.update({int(row[1]): row[-1] for row in rows})
        return found

    def remove_containers(self) -> None:
        """Remove what a test left."""
        with self.client() as client:
            for container in client.api.containers(all=True):
                with contextlib.suppress(docker.errors.APIError):
                    client.api.remove_container(container["Id"], force=True)

    def destroy(self) -> None:
        """Nothing of it is left: containers, processes, mounts, files."""
        if self._process is not None:
            with contextlib.suppress(docker.errors.DockerException, requests.exceptions.RequestException):
                self.remove_containers()
            try:
                self.end(signal.SIGTERM)
            except subprocess.TimeoutExpired:
                self.end(signal.SIGKILL)
        # what outlives an engine that was killed: its containerd and shims, containers and their control groups
        kill_those_with("cmdline", f"{self.folder}/")
        groups = Path("/sys/fs/cgroup")
        for container in (self.disk / "data" / "containers").glob("*"):
            kill_those_with("cgroup", container.name)
            for group in [*groups.glob(f"docker/{container.name}"), *groups.glob(f"*/docker/{container.name}")]:
                with contextlib.suppress(OSError):
                    group.rmdir()
        unmount_below(self.folder)
        shutil.rmtree(self.folder)


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for something that has to happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


def those_with(file: str, text: str) -> set[int]:
    """The processes whose file in /proc holds a text, and all that descend from them, but for this one."""
    found = set()
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            number = int(process.name)
            parents[number] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if text.encode() in (process / file).read_bytes():
                found.add(number)
    while children := {number for number, parent in parents.items() if parent in found} - found:
        found |= children
    return found - {os.getpid()}


def kill_those_with(file: str, text: str) -> None:
    """Kill the processes whose file in /proc holds a text, with their descendants, and wait for their end."""
    numbers = those_with(file, text)
    kill(numbers)
    wait_until(lambda: not any(runs(number) for number in numbers), 60, "killed processes are gone")


def runs(number: int) -> bool:
    """Whether a process has not ended."""
    return Path(f"/proc/{number}/exe").exists()


def kill(processes: Iterable[int]) -> None:
    """Kill processes, those that have ended aside."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def mount_small_disk(folder: Path, disk_bytes: int) -> None:
    """A filesystem of this size in a file beside the folder (sparse: it takes what is written)."""
    folder.mkdir(parents=True)
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(disk_bytes)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)


def unmount_below(folder: Path) -> None:
    """Take off everything that is mounted below a folder, innermost first."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        if Path(mount).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", mount], check=True)


def fill(folder: Path) -> Path:
    """Take up all of a disk's free space; returns the file to delete."""
    ballast = folder / "ballast"
    with ballast.open("ab") as file:
        for piece in (2**24, 2**12):  # in pieces: others write at the same time
            with contextlib.suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, piece)
    return ballast


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """Within the block a disk is full: what others free is taken, too."""
    ballast, ended = fill(folder), threading.Event()

    def keep_full() -> None:
        while not ended.wait(0.05):
            fill(folder)

    keeper = threading.Thread(target=keep_full)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
        ballast.unlink()


@contextlib.contextmanager
def own_engine(disk_bytes: int) -> Iterator[OwnEngine]:
    """An engine that runs, and is gone at the end."""
    # not in pytest's folder: a socket's path may have 107 characters
    engine = OwnEngine(Path(tempfile.mkdtemp(prefix="own-engine-")), disk_bytes)
    try:
        engine.start()
        yield engine
    finally:
        engine.destroy()
