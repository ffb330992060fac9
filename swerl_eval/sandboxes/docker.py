"""Runs a job in a fresh Docker container.

Covered: memory, CPU, process and time limits; no new privileges; network by policy; output streamed to a capped file;
the container killed and removed whatever happens, and found by its label after a crash of this process. Not covered:
a kernel or engine exploit (the kernel is shared), disk filled inside the container (the engine's storage driver sets
that limit), and what the network policy `bridge` lets out.
"""

from __future__ import annotations

import io
import tarfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import docker
import docker.errors
import docker.types

from swerl_eval.core.errors import ImageMissingError, SandboxError
from swerl_eval.core.types import Job, JobResult, Limits
from swerl_eval.sandboxes.engine import connect, translated
from swerl_eval.sandboxes.images import Images

SCRIPT = "/swerl-eval-job.sh"
OWNER_LABEL = "swerl-eval.owner"
END_GRACE = 20.0
"""Seconds to wait for the rest of the output after a container was killed."""
TAIL_BYTES = 2**20
"""How much of the end of an overlong output is kept: the verdict's markers stand there."""


class DockerSandbox:
    """Docker containers on the engine that the environment names (a `ports.Sandbox`).

    `owner` marks the containers; whoever opens a sandbox with the same owner removes what a crashed one left.
    """

    def __init__(self, owner: str, workers: int) -> None:
        self._client = connect(pool=4 * workers + 8)
        self._owner = owner
        self._images = Images(self._client)
        self._threads = anyio.CapacityLimiter(workers + 4)
        self._removers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="remove")
        with translated("asking the Docker engine for its size"):
            self._cpus = float(self._client.info()["NCPU"])
        self.remove_leftovers()

    def remove_leftovers(self) -> int:
        """Remove containers that an earlier process with this owner left; returns how many."""
        with translated("removing leftover containers"):
            found = self._client.api.containers(all=True, filters={"label": f"{OWNER_LABEL}={self._owner}"})
        for container in found:
            self._remove(container["Id"])
        return len(found)

    def check(self, images: Sequence[str]) -> None:
        """Raise `ImageMissingError` when images that are not here cannot be pulled, judged by the first."""
        missing = [image for image in images if not self._images.present(image)]
        if missing and not self._images.in_registry(missing[0]):
            message = (
                f"{len(missing)} images are neither here nor to be pulled, such as {', '.join(missing[:3])}; "
                "build them (`swerl-eval images build TASK_REPOSITORY`), load them (`docker load`), "
                "or check the registry and the network"
            )
            raise ImageMissingError(message)

    async def run(self, job: Job) -> JobResult:
        """Run one job. Cancelling kills and removes the container before the cancellation goes on."""
        stop, begun, done = threading.Event(), threading.Event(), threading.Event()

        def work() -> JobResult:
            begun.set()
            try:
                return self._run(job, stop)
            finally:
                done.set()

        try:
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._threads)
        except anyio.get_cancelled_exc_class():
            stop.set()
            if begun.is_set():
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(done.wait, END_GRACE + 10)
            raise

    async def aclose(self) -> None:
        """Wait for the removals under way."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._removers.shutdown)
        self._client.close()

    def _run(self, job: Job, stop: threading.Event) -> JobResult:
        self._images.ensure(job.image)
        if stop.is_set():
            message = f"{job.name} was cancelled before its container was made"
            raise SandboxError(message)
        with translated(f"creating a container of {job.image}"):
            container: str = self._client.api.create_container(
                job.image,
                command=[SCRIPT],
                entrypoint=["/bin/bash"],
                user="root",
                name=f"swerl-eval.{job.name}.{uuid.uuid4().hex[:8]}",
                labels={OWNER_LABEL: self._owner},
                host_config=self._host_config(job.limits),
            )["Id"]
        try:
            return self._run_in(container, job, stop)
        finally:
            # The result does not wait for the removal, which takes as long as a short job.
            self._removers.submit(self._remove, container)

    def _host_config(self, limits: Limits) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if limits.memory:
            options |= {"mem_limit": limits.memory, "memswap_limit": limits.memory}
        if limits.cpus:
            options["nano_cpus"] = int(min(limits.cpus, self._cpus) * 1e9)
        if limits.pids:
            options["pids_limit"] = limits.pids
        config: dict[str, Any] = self._client.api.create_host_config(
            network_mode=limits.network,
            # reaps orphans and passes signals on, so that nothing outlives the script
            init=True,
            security_opt=["no-new-privileges:true"],
            # the output is read from the attached stream; the engine must not store it a second time
            log_config=docker.types.LogConfig(type="none"),
            **options,
        )
        return config

    def _run_in(self, container: str, job: Job, stop: threading.Event) -> JobResult:
        api = self._client.api
        with translated(f"starting a container of {job.image}"):
            api.put_archive(container, "/", _archive([*job.files, (SCRIPT, job.script.encode())]))
            output = api.attach(container, stream=True, logs=False)
            reader = _LogReader(output, CappedLog(Path(job.log), job.max_log_bytes), stop)
            started = time.monotonic()
            api.start(container)
        reader.start()
        reader.ended_or_stopped.wait(timeout=job.timeout)
        timed_out = not reader.ended_or_stopped.is_set()
        seconds = time.monotonic() - started
        if timed_out or stop.is_set():
            self._kill(container)
        reader.join(timeout=END_GRACE)
        if reader.is_alive():
            message = f"the output of {job.name} did not end after its container was killed"
            raise SandboxError(message)
        if reader.error is not None:
            with translated(f"reading the output of {job.name}"):
                raise reader.error
        with translated(f"asking how {job.name} ended"):
            api.wait(container, timeout=END_GRACE)
            details = api.inspect_container(container)
        if details["State"]["Status"] == "removing":
            message = f"the container of {job.name} was removed by somebody else"
            raise SandboxError(message)
        return JobResult(
            exit_code=int(details["State"]["ExitCode"]),
            timed_out=timed_out,
            out_of_memory=bool(details["State"]["OOMKilled"]),
            seconds=seconds,
            log=job.log,
            log_truncated=reader.log.truncated,
            image_id=str(details["Image"]),
        )

    def _kill(self, container: str) -> None:
        with translated("killing a container"):
            try:
                self._client.api.kill(container)
            except docker.errors.APIError as error:
                if error.status_code not in {404, 409}:  # already gone, already ended
                    raise

    def _remove(self, container: str) -> None:
        try:
            self._client.api.remove_container(container, force=True, v=True)
        except docker.errors.APIError as error:
            if error.status_code not in {404, 409}:  # already gone, removal under way
                raise


class _LogReader(threading.Thread):
    """Copies a container's output to its log until the container ends."""

    def __init__(self, output: Iterator[bytes], log: CappedLog, stop: threading.Event) -> None:
        super().__init__(name="container-output", daemon=True)
        self._output = output
        self.log = log
        self.error: Exception | None = None
        self.ended_or_stopped = _EitherEvent(stop)

    def run(self) -> None:
        try:
            with self.log as log:
                for chunk in self._output:
                    log.write(chunk)
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
            self.error = error
        finally:
            self.ended_or_stopped.set()


class _EitherEvent:
    """Set when the output has ended, or when somebody asked to stop."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._ended = threading.Event()

    def set(self) -> None:
        self._ended.set()

    def is_set(self) -> bool:
        return self._ended.is_set() or self._stop.is_set()

    def wait(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not self.is_set() and (left := deadline - time.monotonic()) > 0:
            self._ended.wait(min(left, 0.2))


@dataclass
class CappedLog:
    """A log file of bounded size that keeps the beginning and the end of what was written."""

    path: Path
    max_bytes: int
    truncated: bool = False
    _written: int = 0
    _tail: bytearray = field(default_factory=bytearray)
    _dropped: int = 0

    def __enter__(self) -> CappedLog:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("wb")
        return self

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        room = self.max_bytes - TAIL_BYTES - self._written
        if room > 0:
            self._file.write(chunk[:room])
            self._written += min(room, len(chunk))
            chunk = chunk[room:]
        if chunk:
            self._tail += chunk
            excess = len(self._tail) - TAIL_BYTES
            if excess > TAIL_BYTES:  # trimmed seldom, so that each byte moves once
                del self._tail[:excess]
                self._dropped += excess

    def __exit__(self, *_: object) -> None:
        excess = max(0, len(self._tail) - TAIL_BYTES)
        self._dropped += excess
        if self._dropped:
            self.truncated = True
            self._file.write(b"\n[swerl-eval: %d bytes of output left out here]\n" % self._dropped)
        self._file.write(self._tail[excess:])
        self._file.close()


def _archive(files: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files:
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size = len(content)
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
