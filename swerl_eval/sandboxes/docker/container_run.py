"""Runs a job in a container that is created: starts it, waits for its end or for a limit, and collects the outcome."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import docker
import docker.errors
import requests

from swerl_eval.core.errors import SandboxError
from swerl_eval.core.types import Job, JobResult
from swerl_eval.ports import Watcher
from swerl_eval.sandboxes.capped_log import CappedLog
from swerl_eval.sandboxes.docker.archives import archive_of
from swerl_eval.sandboxes.docker.engine import translated
from swerl_eval.sandboxes.docker.engine_disk import EngineDisk
from swerl_eval.sandboxes.docker.outcome import Exceeded, job_result
from swerl_eval.sandboxes.docker.output import LogReader

SCRIPT = "/swerl-eval-job.sh"
END_SECONDS = 20.0
"""How long the rest of the output is awaited after a container was killed."""
DISK_CHECK_SECONDS = 3.0
"""Between two looks at what a container has written. The engine walks its files for each."""
SLOW_END = "did not receive an exit event"
"""The engine's message about a container that has not ended ten seconds after its kill, such as a fork bomb."""


class ContainerRun:
    """One job in one container, from its start to its end."""

    def __init__(
        self,
        client: docker.DockerClient,
        container: str,
        job: Job,
        stop: threading.Event,
        *,
        disk: EngineDisk,
        watcher: Watcher,
    ) -> None:
        """`container` is the id of a container that runs `SCRIPT` and is not started yet; `stop` ends the job."""
        self._api = client.api
        self._container, self._job, self._stop = container, job, stop
        self._disk, self._watcher = disk, watcher

    def execute(self) -> JobResult:
        """Run the job to its end, and kill it at a limit.

        Raises:
            SandboxError: The engine fails, the log cannot be written, or somebody else killed the container.
        """
        with translated(f"starting a container of {self._job.image}"):
            self._put_files()
            output = self._api.attach(self._container, stream=True, logs=False)
            end = self._request_end()
        with end:
            reader = LogReader(output, CappedLog(Path(self._job.log), self._job.max_log_bytes), self._stop)
            with translated(f"starting a container of {self._job.image}"):
                started = time.monotonic()
                self._api.start(self._container)
            exceeded = self._wait(reader)
            seconds = time.monotonic() - started
            if exceeded is not None or self._stop.is_set() or reader.error is not None:
                self._kill()
            self._finish_log(reader)
            with translated(f"waiting for the end of {self._job.name}"):
                end.json()
                inspection = self._api.inspect_container(self._container)
        return job_result(
            self._job,
            inspection,
            exceeded=exceeded,
            seconds=seconds,
            log_truncated=reader.log.truncated,
            disk_full=self._disk.full_since(started),
        )

    def _put_files(self) -> None:
        files = [*self._job.files, (SCRIPT, self._job.script.encode())]
        self._api.put_archive(self._container, "/", archive_of(files))

    def _request_end(self) -> requests.Response:
        """Ask for the container's end before its start; the response's body arrives when the container ends."""
        url = f"{self._api.base_url}/v{self._api.api_version}/containers/{self._container}/wait"
        response: requests.Response = self._api.post(
            url, params={"condition": "next-exit"}, timeout=END_SECONDS, stream=True
        )
        try:
            response.raise_for_status()
        except requests.HTTPError as error:
            docker.errors.create_api_error_from_http_exception(error)
        return response

    def _wait(self, reader: LogReader) -> Exceeded | None:
        """Copy the output until the container ends or exceeds a limit, which is returned."""
        self._watcher.running(self._container, now=True)
        try:
            reader.start()
            return self._end_or_limit(reader)
        finally:
            self._watcher.running(self._container, now=False)

    def _end_or_limit(self, reader: LogReader) -> Exceeded | None:
        deadline = time.monotonic() + self._job.timeout
        while (left := deadline - time.monotonic()) > 0:
            if reader.ended_or_stopped.wait(min(left, DISK_CHECK_SECONDS)):
                return None
            self._disk.look()
            if self._job.limits.disk and self._written() > self._job.limits.disk:
                return Exceeded.DISK
        return Exceeded.TIME

    def _written(self) -> int:
        """Bytes that the container has written; 0 where it is gone."""
        with translated("asking what a container has written"):
            containers = self._api.containers(all=True, size=True, filters={"id": self._container})
        return int(containers[0].get("SizeRw") or 0) if containers else 0

    def _kill(self) -> None:
        with translated("killing a container"):
            try:
                self._api.kill(self._container)
            except docker.errors.APIError as error:
                # 404, 409: it is gone or has ended. A slow end: the signal was sent, and many processes take their time
                if error.status_code not in {404, 409} and SLOW_END not in str(error):
                    raise

    def _finish_log(self, reader: LogReader) -> None:
        reader.join(timeout=END_SECONDS)
        if reader.is_alive():
            message = f"the output of {self._job.name} did not end after its container was killed"
            raise SandboxError(message)
        if reader.error is not None:
            with translated(f"writing the output of {self._job.name} to {self._job.log}"):
                raise reader.error
