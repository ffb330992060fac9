"""Runs jobs in fresh Docker containers.

What is covered: limits on memory, CPU, processes, time and disk (disk use is looked at every few seconds, so a fast
writer may exceed its limit by some gigabytes); no new privileges; a network by policy; output that is streamed to a
log of bounded size; a container that is killed and removed whatever happens, and found by its labels after a crash of
this process.

A container that ends with exit code 137 was killed from outside: the job's shell is its first process, which nothing
inside can kill. The container's end is awaited by a call that is made before its start, so that an engine that
restarts in between breaks the call. Without that, a restarted engine was seen to report exit code 0 for a container
whose output was lost.

What is not covered: an exploit of the kernel (which is shared) or of the engine, and what the network policy `bridge`
lets out.
"""

from __future__ import annotations

import os
import re
import threading
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import docker.types

from swerl_eval.core.errors import EngineUnavailableError, ImageMissingError, SandboxError
from swerl_eval.core.types import Job, JobResult, Limits, Machine
from swerl_eval.ports import SandboxSettings
from swerl_eval.sandboxes.docker.container_run import SCRIPT, ContainerRun
from swerl_eval.sandboxes.docker.engine import connect, local_root, machine_of, translated
from swerl_eval.sandboxes.docker.engine_disk import EngineDisk
from swerl_eval.sandboxes.docker.images import Image, Images
from swerl_eval.sandboxes.docker.leftovers import OWNER_LABEL, PROCESS_LABEL, is_leftover, labels, process_mark
from swerl_eval.sandboxes.docker.prefetch import Prefetcher
from swerl_eval.sandboxes.docker.removal import Removals
from swerl_eval.sandboxes.docker.stoppable import stoppable

ABORT_SECONDS = 1.5
"""For the requests to reach the engine, which then goes on by itself."""
NO_MEMORY_PRESSURE = 10.0
"""Pressure of a machine that is nearly out of memory."""
PREFETCH_RESERVE = 4 * 2**30
"""Bytes. With less free space on the engine's disk, no image is prefetched."""
IMAGE_WAITERS = 64
"""Threads that wait for images, beside those of jobs."""


class DockerSandbox:
    """Docker containers on the engine that the environment names (a `ports.Sandbox`)."""

    def __init__(self, settings: SandboxSettings) -> None:
        workers = settings.workers
        self._client = connect(pool=4 * workers + 8)
        self._owner = settings.owner
        self._watcher = settings.watcher
        self._images = Images(self._client, settings.cache, settings.disk, watcher=settings.watcher)
        # without a disk budget all images stay, so each is fetched as early as possible
        self._prefetcher = Prefetcher(self._images, None if settings.disk is None else workers, self._prefetch_room)
        self._job_threads = anyio.CapacityLimiter(workers + 4)
        self._image_threads = anyio.CapacityLimiter(IMAGE_WAITERS)
        self._removals = Removals(self._client)
        self._machine = machine_of(self._client)
        self._disk = EngineDisk(local_root(self._client))
        self._remove_leftovers()

    @classmethod
    def open(cls, settings: SandboxSettings) -> DockerSandbox:
        """Connect to the engine, and remove the containers that a crashed process left."""
        return cls(settings)

    def machines(self) -> Sequence[Machine]:
        """The engine, and the machine it runs on."""
        return [self._machine]

    def pressure(self) -> float | None:
        """Runnable processes per core over the last minute; `NO_MEMORY_PRESSURE` where memory runs out."""
        if self._disk.root is None:
            return None  # the engine is on another machine
        try:
            available = Path("/proc/meminfo").read_text(encoding="ascii").partition("MemAvailable:")[2].split()[0]
            short_of_memory = int(available) * 1024 < self._machine.memory / 16
        except (OSError, IndexError, ValueError):
            return None
        return NO_MEMORY_PRESSURE if short_of_memory else os.getloadavg()[0] / self._machine.cpus

    def _remove_leftovers(self) -> None:
        with translated("removing leftover containers"):
            containers = self._client.api.containers(all=True, filters={"label": OWNER_LABEL})
        for container in containers:
            if is_leftover(container["Labels"], self._owner):
                self._removals.remove(container["Id"])

    async def check(self, images: Sequence[str]) -> Mapping[str, str]:
        """Images that are neither here nor in their registry, and why.

        Raises:
            ImageMissingError: None of them can be had; with the remedy.
        """
        return await stoppable(lambda stop: self._images.check(images, stop), self._image_threads)

    def present(self, images: Sequence[str]) -> list[str]:
        """Those of the images that the engine has."""
        return [image for image in images if self._images.present(image)]

    def image_names(self) -> list[str]:
        """Names of all images that the engine has."""
        return self._images.names()

    def prefetch(self, images: Sequence[str]) -> None:
        """Pull these images one by one while jobs run, as long as the budget and the disk have room."""
        self._prefetcher.add(images)

    def _prefetch_room(self, wanted: Collection[str]) -> bool:
        return self._disk.has_free(PREFETCH_RESERVE) and self._images.prefetch_room(wanted)

    async def image_id(self, image: str) -> str:
        """Content digest of an image, which is pulled first where it is not here."""
        return (await stoppable(lambda stop: self._images.ensure(image, stop), self._image_threads)).digest

    async def run(self, job: Job) -> JobResult:
        """Run one job. Cancelling kills the container before the cancellation goes on."""
        return await stoppable(lambda stop: self._run(job, stop), self._job_threads)

    def abort(self) -> None:
        """Have the engine kill and remove all containers of this process; waits no longer than `ABORT_SECONDS`.

        For a process that ends at once. What the engine does not remove is left to the next start.
        """
        own = {"label": f"{PROCESS_LABEL}={process_mark()}"}
        deadline = time.monotonic() + ABORT_SECONDS
        containers = [container["Id"] for container in self._client.api.containers(all=True, filters=own)]
        threads = [threading.Thread(target=self._removals.remove, args=(name,), daemon=True) for name in containers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    async def aclose(self) -> None:
        """Wait, within a bound, for the removals under way, and try the failed ones once more."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._prefetcher.stop)
            await anyio.to_thread.run_sync(self._removals.finish)
        self._client.close()

    def _run(self, job: Job, stop: threading.Event) -> JobResult:
        self._prefetcher.job_began(job.image)
        with self._images.using(job.image, stop) as image:
            if stop.is_set():
                message = f"{job.name} was cancelled before its container was made"
                raise SandboxError(message)
            container = self._create(job, image)
            try:
                return ContainerRun(
                    self._client, container, job, stop, disk=self._disk, watcher=self._watcher
                ).execute()
            finally:
                # in the background: a removal takes as long as a short job
                self._removals.submit(container)

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
            self._images.forget(job.image)  # it was here a moment ago: the next try looks again, and pulls it
            raise
        except EngineUnavailableError:
            self._removals.remember(name)  # the engine may have made the container all the same
            raise
        self._removals.retry_failed()
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
            # the output is read from the attached stream; the engine need not store it a second time
            log_config=docker.types.LogConfig(type="none"),
            **options,
        )
        return config
