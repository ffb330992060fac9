"""Pulls images: each one once at a time, a few side by side, with retries, and stopped when nobody waits any more.

The engine itself resumes a layer whose connection broke. A pull that the engine gives up is tried again here, after
growing random pauses. The engine's classic image store then starts over with the first layer; the containerd store
keeps what it has.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import docker
import docker.auth
import docker.errors
import docker.utils
import requests
import tenacity

from swerl_eval.core.errors import SandboxError
from swerl_eval.ports import UNWATCHED, Watcher
from swerl_eval.sandboxes.docker.engine import translated
from swerl_eval.sandboxes.docker.registry_errors import OFFLINE, RATE_LIMITED, classify, is_transient, retry_after

PULLS_AT_A_TIME = 4
POLL_SECONDS = 0.1
"""Between two looks at whether somebody still waits."""
STALL_SECONDS = 300.0
"""Without a message of the engine for so long, a pull is started over."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long failing pulls are tried again. The defaults make about eight minutes."""

    attempts: int = 10
    first: float = 4.0
    """Bound of the first pause in seconds. A pause is random between zero and its bound; bounds double."""
    longest: float = 120.0
    """Largest bound of a pause in seconds. A registry that asks for more gets it, up to `LONGEST_WAIT`."""
    offline: float = 20.0
    """Seconds after which a pull is given up when no registry can be reached: every other image would wait too."""

    def is_over(self, state: tenacity.RetryCallState, image: str) -> bool:
        """Whether a failed pull is given up."""
        error = state.outcome.exception() if state.outcome is not None else None
        offline = classify(str(error), image) is OFFLINE
        too_long_offline = offline and (state.seconds_since_start or 0.0) > self.offline
        return too_long_offline or state.attempt_number >= self.attempts

    def pause(self, state: tenacity.RetryCallState) -> float:
        """Seconds before the next try."""
        random = tenacity.wait_random_exponential(multiplier=self.first, max=self.longest)(state)
        asked = retry_after(str(state.outcome.exception())) if state.outcome is not None else 0.0
        return max(random, asked)


class Pulls:
    """Pulls images. Thread safe."""

    def __init__(
        self,
        client: docker.DockerClient,
        retry_policy: RetryPolicy,
        before: Callable[[], object],
        after: Callable[[str], object],
        watcher: Watcher = UNWATCHED,
    ) -> None:
        """Set up without pulling anything.

        Args:
            client: The engine.
            retry_policy: How often and how long failing pulls are tried again.
            before: Called before each pull, in the pull's own thread.
            after: Called with the image's name after each pull, in the pull's own thread and before any waiter goes on.
            watcher: Is told how pulls stand.
        """
        self._client = client
        self._watcher = watcher
        self._retry_policy = retry_policy
        self._before, self._after = before, after
        self._slots = threading.Semaphore(PULLS_AT_A_TIME)
        self._lock = threading.Lock()
        self._tasks: dict[str, _PullTask] = {}

    def pull(self, image: str, stop: threading.Event | None = None, *, is_prefetch: bool = False) -> None:
        """Wait until an image is pulled, by this call or by another one under way.

        Args:
            image: Name of the image.
            stop: Ends the waiting, and the pull where nobody else waits.
            is_prefetch: Pull without a slot of `PULLS_AT_A_TIME`, so that no prefetch holds up a job's pull.

        Raises:
            SandboxError: The pull failed for good or was stopped.
        """
        with self._lock:
            task = self._tasks.get(image)
            if task is None:
                task = self._tasks[image] = _PullTask(_Transfer(self._client, image, self._watcher))
                arguments = (image, task, None if is_prefetch else self._slots)
                threading.Thread(target=self._execute, args=arguments, name="pull", daemon=True).start()
            task.waiting += 1
        try:
            while not task.ended.wait(POLL_SECONDS):
                if stop is not None and stop.is_set():
                    message = f"pulling {image} was stopped"
                    raise SandboxError(message)
        finally:
            with self._lock:
                task.waiting -= 1
                abandoned = not task.waiting and not task.ended.is_set()
                if abandoned:
                    del self._tasks[image]  # the next call starts a new pull
            if abandoned:
                task.transfer.stop()
        if task.error is not None:
            raise task.error

    def _execute(self, image: str, task: _PullTask, slots: threading.Semaphore | None) -> None:
        try:
            self._before()
            self._transfer_with_retries(task.transfer, slots)
            self._after(image)
        except Exception as error:  # noqa: BLE001 - raised in the threads that wait
            task.error = error
        finally:
            self._watcher.waiting(image, "")
            with self._lock:
                task.ended.set()
                if self._tasks.get(image) is task:
                    del self._tasks[image]

    def _transfer_with_retries(self, transfer: _Transfer, slots: threading.Semaphore | None) -> None:
        image = transfer.image

        def is_worth_retrying(error: BaseException) -> bool:
            return is_transient(error, image) and not transfer.stopped.is_set()

        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(is_worth_retrying),
            wait=self._retry_policy.pause,
            stop=lambda state: self._retry_policy.is_over(state, image),
            before_sleep=lambda state: self._watcher.waiting(image, pause_status(state, image)),
            sleep=transfer.pause,  # without a slot, so that other pulls go on
            reraise=True,
        )
        for attempt in attempts:
            with attempt:
                self._watcher.waiting(image, "waiting for other pulls")
                with _slot(slots, transfer.stopped):
                    transfer.run()


def pause_status(state: tenacity.RetryCallState, image: str) -> str:
    """Text for a display during a pause between two tries."""
    error = state.outcome.exception() if state.outcome is not None else None
    until = time.strftime("%H:%M:%S", time.localtime(time.time() + state.upcoming_sleep))
    if classify(str(error), image) is RATE_LIMITED:
        return f"rate limited until {until}"
    return f"tried again at {until}: {error}"


@contextlib.contextmanager
def _slot(slots: threading.Semaphore | None, stopped: threading.Event) -> Iterator[None]:
    if slots is None:
        yield
        return
    while not slots.acquire(timeout=POLL_SECONDS):
        if stopped.is_set():
            message = "the pull was stopped before it began"
            raise SandboxError(message)
    try:
        yield
    finally:
        slots.release()


class _Transfer:
    """One pull of an image by the engine. Another thread may stop it: the engine drops it with the connection."""

    def __init__(self, client: docker.DockerClient, image: str, watcher: Watcher) -> None:
        self._api = client.api
        self.image = image
        self._watcher = watcher
        self._response: requests.Response | None = None
        self.stopped = threading.Event()

    def run(self) -> None:
        """Pull the image. Raises `SandboxError`, also for an error that comes in the middle of the engine's answer."""
        self._watcher.waiting(self.image, "pulling")
        layers = _Layers()
        with translated(f"pulling {self.image}"), contextlib.closing(self._request()) as response:
            self._response = response
            try:
                response.raise_for_status()
            except requests.HTTPError as error:
                docker.errors.create_api_error_from_http_exception(error)
            for line in response.iter_lines():
                if self.stopped.is_set():
                    break
                step: dict[str, Any] = json.loads(line) if line.strip() else {}
                if "error" in step:
                    message = f"pulling {self.image}: {step['error']}"
                    raise SandboxError(message)
                if layers.update(step):
                    self._watcher.waiting(self.image, f"pulling, {layers}")
        if self.stopped.is_set():
            message = f"pulling {self.image} was stopped"
            raise SandboxError(message)

    def _request(self) -> requests.Response:
        # docker-py's own `pull` cannot be stopped, does not notice a stall, and swallows late errors
        repository, tag = docker.utils.parse_repository_tag(self.image)
        registry, _ = docker.auth.resolve_repository_name(repository)
        login = docker.auth.get_config_header(self._api, registry)
        response: requests.Response = self._api.post(
            f"{self._api.base_url}/v{self._api.api_version}/images/create",
            params={"fromImage": repository, "tag": tag or "latest"},
            headers={"X-Registry-Auth": login} if login else {},
            stream=True,
            timeout=STALL_SECONDS,
        )
        return response

    def pause(self, seconds: float) -> None:
        """Wait for so long, or until the pull is stopped."""
        self.stopped.wait(seconds)

    def stop(self) -> None:
        """End the pull now, or with the first bytes of the engine's answer where none have come yet."""
        self.stopped.set()
        connection = getattr(self._response.raw, "connection", None) if self._response is not None else None
        sock = getattr(connection, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):  # the pull has ended
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads


class _Layers:
    """Progress of the layers that the engine has begun to download."""

    def __init__(self) -> None:
        self._received: dict[str, int] = {}
        self._sizes: dict[str, int] = {}

    def update(self, step: dict[str, Any]) -> bool:
        """Take in a line of the engine's answer; returns whether the progress changed."""
        layer, status, detail = str(step.get("id", "")), step.get("status"), step.get("progressDetail") or {}
        if status == "Downloading" and "total" in detail:
            self._received[layer], self._sizes[layer] = int(detail.get("current", 0)), int(detail["total"])
            return True
        if status == "Download complete" and layer in self._sizes:
            self._received[layer] = self._sizes[layer]
            return True
        return False

    def __str__(self) -> str:
        return f"{sum(self._received.values()) / 1e6:,.1f} of {sum(self._sizes.values()) / 1e6:,.1f} MB"


@dataclass
class _PullTask:
    """A pull under way."""

    transfer: _Transfer
    waiting: int = 0
    """Threads that wait for its end."""
    error: Exception | None = None
    ended: threading.Event = field(default_factory=threading.Event)
