"""Runs a job in a fresh Docker container.

Covered: limits on memory, CPU, processes, time, and what is written to disk (looked at every few seconds, so a fast
writer gets some gigabytes further); no new privileges; network by policy; output streamed to a capped file; the
container killed and removed whatever happens, and found by its labels after a crash of this process. The job's shell
is the container's first process, which nothing inside can kill: a container that ends with 137 was ended from outside.
Its end is awaited by a call made before its start, so the engine process that saw the start has to see the end: one
that was killed and came back was seen to tell of an exit code 0 whose output nobody has.
Not covered: a kernel or engine exploit (the kernel is shared), and what the network policy `bridge` lets out.
"""

from __future__ import annotations

import io
import math
import os
import re
import shutil
import tarfile
import threading
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import docker
import docker.errors
import docker.types
import requests

from swerl_eval.core.errors import EngineUnavailableError, ImageMissingError, SandboxError
from swerl_eval.core.types import Job, JobResult, Limits, Machine
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.docker.engine import connect, local_root, machine_of, translated
from swerl_eval.sandboxes.docker.images import Image, Images
from swerl_eval.sandboxes.docker.leftovers import OWNER_LABEL, PROCESS_LABEL, is_leftover, labels, process_mark
from swerl_eval.sandboxes.docker.output import CappedLog, LogReader
from swerl_eval.sandboxes.docker.prefetch import Prefetcher
from swerl_eval.sandboxes.docker.removal import Removals
from swerl_eval.sandboxes.docker.stoppable import stoppable

SCRIPT = "/swerl-eval-job.sh"
END_GRACE = 20.0
"""Seconds to wait for the rest of the output after a container was killed."""
ABORT_SECONDS = 1.5
"""For the requests to reach the engine, which then goes on by itself."""
KILLED = 137
SLOW_END = "did not receive an exit event"
"""What the engine says of a kill after ten seconds; seen with a fork bomb on a busy machine."""
DISK_CHECK_SECONDS = 3.0
"""Between two looks at what a container has written. The engine walks its files for it."""
NO_MEMORY = 10.0
"""Pressure of a machine that is nearly out of memory."""
PREFETCH_RESERVE = 4 * 2**30
"""With less than this free on the engine's disk nothing is fetched ahead."""
WAITING_AT_MOST = 64
"""Threads that wait for images, beside those of jobs."""
DISK_RESERVE = 64 * 2**20
"""Less than this free on the engine's disk is full."""


class DockerSandbox:
    """Docker containers on the engine that the environment names (a `ports.Sandbox`)."""

    def __init__(self, settings: SandboxSettings) -> None:
        workers = settings.workers
        self._client = connect(pool=4 * workers + 8)
        self._owner = settings.owner
        self._watcher = settings.watcher
        self._images = Images(self._client, settings.cache, settings.disk, watcher=settings.watcher)
        # without a budget all will be here in the end, and soon is best
        self._ahead = Prefetcher(self._images, None if settings.disk is None else workers, self._room_ahead)
        self._threads = anyio.CapacityLimiter(workers + 4)
        self._waiting = anyio.CapacityLimiter(WAITING_AT_MOST)
        self._removals = Removals(self._client)
        self._last_full = -math.inf
        self._machine = machine_of(self._client)
        self._root = local_root(self._client)
        self.remove_leftovers()

    @classmethod
    def open(cls, settings: SandboxSettings) -> DockerSandbox:
        """Connect to the engine, and remove what a crash left."""
        return cls(settings)

    def machine(self) -> Machine:
        """The engine, and the machine it runs on."""
        return self._machine

    def pressure(self) -> float | None:
        """Processes that want a core, for each core, over the last minute; high where memory runs out."""
        if self._root is None:
            return None
        try:
            available = Path("/proc/meminfo").read_text(encoding="ascii").partition("MemAvailable:")[2].split()[0]
            short_of_memory = int(available) * 1024 < self._machine.memory / 16
        except (OSError, IndexError, ValueError):
            return None
        return NO_MEMORY if short_of_memory else os.getloadavg()[0] / self._machine.cpus

    def remove_leftovers(self) -> int:
        """Remove containers that a crashed process left; returns how many."""
        with translated("removing leftover containers"):
            found = self._client.api.containers(all=True, filters={"label": OWNER_LABEL})
        left = [each["Id"] for each in found if is_leftover(each["Labels"], self._owner)]
        for container in left:
            self._removals.now(container)
        return len(left)

    async def check(self, images: Sequence[str]) -> Mapping[str, str]:
        """Images that are neither here nor in their registry, and why.

        Raises `ImageMissingError` with the remedy where none can be had.
        """
        return await stoppable(lambda stop: self._images.check(images, stop), self._waiting)

    def prefetch(self, images: Sequence[str]) -> None:
        """Pull these, one after the other, while jobs run; not so many that the budget or the disk would be full."""
        self._ahead.add(images)

    def _room_ahead(self, wanted: Collection[str]) -> bool:
        full = self._root is not None and shutil.disk_usage(self._root).free < PREFETCH_RESERVE
        return not full and self._images.room_ahead(wanted)

    async def image_id(self, image: str) -> str:
        """Content digest of an image; pulled first where it is not here."""
        return (await stoppable(lambda stop: self._images.ensure(image, stop), self._waiting)).digest

    async def run(self, job: Job) -> JobResult:
        """Run one job. Cancelling kills and removes the container before the cancellation goes on."""
        return await stoppable(lambda stop: self._run(job, stop), self._threads)

    def abort(self) -> None:
        """Have the engine kill and remove all containers of this process; waits no longer than `ABORT_SECONDS`.

        For a process that ends at once. What the engine does not do is left to the next start.
        """
        mine = {"label": f"{PROCESS_LABEL}={process_mark()}"}
        deadline = time.monotonic() + ABORT_SECONDS
        found = [each["Id"] for each in self._client.api.containers(all=True, filters=mine)]
        threads = [threading.Thread(target=self._removals.now, args=(each,), daemon=True) for each in found]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    async def aclose(self) -> None:
        """Wait for the removals under way, not for ever; those that failed before are tried once more."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._ahead.stop)
            await anyio.to_thread.run_sync(self._removals.finish)
        self._client.close()

    def _run(self, job: Job, stop: threading.Event) -> JobResult:
        self._ahead.reached(job.image)
        with self._images.using(job.image, stop) as image:
            if stop.is_set():
                message = f"{job.name} was cancelled before its container was made"
                raise SandboxError(message)
            container = self._create(job, image)
            try:
                return self._run_in(container, job, stop)
            finally:
                # The result does not wait for the removal, which takes as long as a short job.
                self._removals.soon(container)

    def _create(self, job: Job, image: Image) -> str:
        name = f"swerl-eval.{re.sub('[^a-zA-Z0-9_.-]', '-', job.name)}.{uuid.uuid4().hex[:8]}"
        try:
            with translated(f"creating a container of {job.image}"):
                container: str = self._client.api.create_container(
                    job.image,
                    command=[SCRIPT],
                    entrypoint=["/bin/bash"],
                    user="root",
                    name=name,
                    labels=labels(self._owner),
                    environment={name: value for name, value in job.environment if name not in image.environment},
                    host_config=self._host_config(job.limits),
                )["Id"]
        except ImageMissingError:
            self._images.forget(job.image)  # it was there a moment ago: the next try looks, and pulls it
            raise
        except EngineUnavailableError:
            self._removals.later(name)  # it may have been made all the same
            raise
        self._removals.again()
        return container

    def _host_config(self, limits: Limits) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if limits.memory:
            options |= {"mem_limit": limits.memory, "memswap_limit": limits.memory}
        if limits.cpus:
            options["nano_cpus"] = int(min(limits.cpus, self._machine.cpus) * 1e9)
        if limits.pids:
            options["pids_limit"] = limits.pids
        if limits.disk:
            options["ulimits"] = [docker.types.Ulimit(name="fsize", soft=limits.disk, hard=limits.disk)]
        config: dict[str, Any] = self._client.api.create_host_config(
            network_mode=limits.network,
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
            end = self._end_of(container)
            reader = LogReader(output, CappedLog(Path(job.log), job.max_log_bytes), stop)
            started = time.monotonic()
            api.start(container)
        self._watcher.running(container, now=True)
        try:
            reader.start()
            killed_for = self._wait(container, job, reader)
        finally:
            self._watcher.running(container, now=False)
        seconds = time.monotonic() - started
        if killed_for or stop.is_set() or reader.error is not None:
            self._kill(container)
        reader.join(timeout=END_GRACE)
        if reader.is_alive():
            message = f"the output of {job.name} did not end after its container was killed"
            raise SandboxError(message)
        if reader.error is not None:
            with translated(f"writing the output of {job.name} to {job.log}"):
                raise reader.error
        with translated(f"waiting for the end of {job.name}"), end:
            end.json()
            state = api.inspect_container(container)
        exit_code, out_of_memory = int(state["State"]["ExitCode"]), bool(state["State"]["OOMKilled"])
        if state["State"]["Status"] == "removing" or (exit_code == KILLED and not killed_for and not out_of_memory):
            message = f"the container of {job.name} was killed or removed by somebody else"
            raise SandboxError(message)
        return JobResult(
            exit_code=exit_code,
            timed_out=killed_for == "time",
            out_of_memory=out_of_memory,
            seconds=seconds,
            log=job.log,
            log_truncated=reader.log.truncated,
            image_id=str(state["Image"]),
            disk_exceeded=killed_for == "disk",
            disk_full=self._full_since(started),
        )

    def _end_of(self, container: str) -> requests.Response:
        """A response whose body comes when the container ends."""
        api = self._client.api
        url = f"{api.base_url}/v{api.api_version}/containers/{container}/wait"
        response: requests.Response = api.post(url, params={"condition": "next-exit"}, timeout=END_GRACE, stream=True)
        try:
            response.raise_for_status()
        except requests.HTTPError as error:
            docker.errors.create_api_error_from_http_exception(error)
        return response

    def _full_since(self, moment: float) -> bool:
        """Whether the engine's disk is full, or was seen full since then: what filled it may be removed already."""
        if self._root is not None and shutil.disk_usage(self._root).free < DISK_RESERVE:
            self._last_full = time.monotonic()
        return self._last_full >= moment

    def _wait(self, container: str, job: Job, reader: LogReader) -> str:
        """Wait for the end of a container, or for its limit: `time`, `disk`, or nothing."""
        deadline = time.monotonic() + job.timeout
        while (left := deadline - time.monotonic()) > 0:
            if reader.ended_or_stopped.wait(min(left, DISK_CHECK_SECONDS)):
                return ""
            self._full_since(deadline)  # seen for all jobs that run now
            if job.limits.disk and self._written(container) > job.limits.disk:
                return "disk"
        return "time"

    def _written(self, container: str) -> int:
        """Bytes that a container has written."""
        with translated("asking what a container has written"):
            found = self._client.api.containers(all=True, size=True, filters={"id": container})
        return int(found[0].get("SizeRw") or 0) if found else 0

    def _kill(self, container: str) -> None:
        with translated("killing a container"):
            try:
                self._client.api.kill(container)
            except docker.errors.APIError as error:
                # already gone, already ended, or slow to end: the kill was sent, and many processes take their time
                if error.status_code not in {404, 409} and SLOW_END not in str(error):
                    raise


def _archive(files: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files:
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size = len(content)
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
