"""Pulls: each image once at a time, a few beside each other, patient with registries, stopped when nobody waits.

The engine itself resumes a layer whose connection broke. What it gives up on is pulled again here, after growing random
pauses; the engine's classic image store then begins with the first layer again, the containerd one keeps what it has.
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
from swerl_eval.sandboxes.docker.registry_errors import LIMITED, OFFLINE, may_pass, retry_after, trouble

PULLS_AT_A_TIME = 4
POLL_SECONDS = 0.1
"""Seconds between two looks at whether somebody still waits."""
STALL = 300.0
"""Seconds without a word of the engine after which a pull is begun anew."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long failing pulls are tried again: for about eight minutes, as it stands."""

    attempts: int = 10
    first: float = 4.0
    """Seconds of the first pause, at most; each is drawn from zero to its bound, and bounds double."""
    longest: float = 120.0
    """Bound of the later pauses, in seconds; a registry that asks for more gets it, up to `registries.LONGEST_WAIT`."""
    offline: float = 20.0
    """Seconds after which a pull is given up where there is no way to its registry: every other image waits as long."""

    def is_over(self, state: tenacity.RetryCallState, image: str) -> bool:
        """Whether a pull that failed is given up."""
        error = state.outcome.exception() if state.outcome is not None else None
        offline = trouble(str(error), image) is OFFLINE and (state.seconds_since_start or 0.0) > self.offline
        return offline or state.attempt_number >= self.attempts

    def pause(self, state: tenacity.RetryCallState) -> float:
        """Seconds before the next try, where a failure may pass."""
        random = tenacity.wait_random_exponential(multiplier=self.first, max=self.longest)(state)
        return max(random, retry_after(str(state.outcome.exception())) if state.outcome is not None else 0.0)


class Pulls:
    """Pulls images. Thread safe.

    `before()` is called ahead of each pull and `after(image)` when it has come, both in the pull's own thread and
    before whoever waits goes on.
    """

    def __init__(
        self,
        client: docker.DockerClient,
        patience: RetryPolicy,
        before: Callable[[], object],
        after: Callable[[str], object],
        watcher: Watcher = UNWATCHED,
    ) -> None:
        self._client = client
        self._watcher = watcher
        self._patience = patience
        self._before, self._after = before, after
        self._slots = threading.Semaphore(PULLS_AT_A_TIME)
        self._lock = threading.Lock()
        self._flights: dict[str, _PullTask] = {}

    def pull(self, image: str, stop: threading.Event | None = None, *, ahead: bool = False) -> None:
        """Wait until an image is pulled, by this call or by another under way. Raises `SandboxError`.

        `stop` ends the waiting, and the pull where nobody else waits. `ahead`: not counted against the bound, so that
        nothing that is fetched ahead holds up a job.
        """
        with self._lock:
            flight = self._flights.get(image)
            if flight is None:
                flight = self._flights[image] = _PullTask(_Transfer(self._client, image, self._watcher))
                arguments = (image, flight, None if ahead else self._slots)
                threading.Thread(target=self._carry_out, args=arguments, name="pull", daemon=True).start()
            flight.waiting += 1
        try:
            while not flight.ended.wait(POLL_SECONDS):
                if stop is not None and stop.is_set():
                    message = f"pulling {image} was stopped"
                    raise SandboxError(message)
        finally:
            with self._lock:
                flight.waiting -= 1
                abandoned = not flight.waiting and not flight.ended.is_set()
                if abandoned:
                    del self._flights[image]  # whoever comes now begins anew
            if abandoned:
                flight.transfer.stop()
        if flight.error is not None:
            raise flight.error

    def _carry_out(self, image: str, flight: _PullTask, slots: threading.Semaphore | None) -> None:
        try:
            self._before()
            self._patiently(flight.transfer, slots)
            self._after(image)
        except Exception as error:  # noqa: BLE001 - raised by whoever waits
            flight.error = error
        finally:
            self._watcher.waiting(image, "")
            with self._lock:
                flight.ended.set()
                if self._flights.get(image) is flight:
                    del self._flights[image]

    def _patiently(self, transfer: _Transfer, slots: threading.Semaphore | None) -> None:
        image = transfer.image

        def again(error: BaseException) -> bool:
            return may_pass(error, image) and not transfer.stopped.is_set()

        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(again),
            wait=self._patience.pause,
            stop=lambda state: self._patience.is_over(state, image),
            before_sleep=lambda state: self._watcher.waiting(image, why_it_waits(state, image)),
            sleep=transfer.pause,  # without a slot: others go on meanwhile
            reraise=True,
        )
        for attempt in attempts:
            with attempt:
                self._watcher.waiting(image, "waiting for other pulls")
                with _slot(slots, transfer.stopped):
                    transfer.run()


def why_it_waits(state: tenacity.RetryCallState, image: str) -> str:
    """What a display says during a pause."""
    error = state.outcome.exception() if state.outcome is not None else None
    until = time.strftime("%H:%M:%S", time.localtime(time.time() + state.upcoming_sleep))
    if trouble(str(error), image) is LIMITED:
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
    """One image's pull by the engine. Another thread may stop it; the engine drops it with the connection."""

    def __init__(self, client: docker.DockerClient, image: str, watcher: Watcher) -> None:
        self._api = client.api
        self.image = image
        self._watcher = watcher
        self._response: requests.Response | None = None
        self.stopped = threading.Event()

    def run(self) -> None:
        """Pull. Raises `SandboxError`, also for what the engine says only in the middle of its answer."""
        self._watcher.waiting(self.image, "pulling")
        layers = _Layers()
        with translated(f"pulling {self.image}"), contextlib.closing(self._begin()) as response:
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
                if layers.hear(step):
                    self._watcher.waiting(self.image, f"pulling, {layers}")
        if self.stopped.is_set():
            message = f"pulling {self.image} was stopped"
            raise SandboxError(message)

    def _begin(self) -> requests.Response:
        # not through docker-py's own `pull`: nobody could end that, it knows no stall, and it swallows late errors
        repository, tag = docker.utils.parse_repository_tag(self.image)
        registry, _ = docker.auth.resolve_repository_name(repository)
        login = docker.auth.get_config_header(self._api, registry)
        answer: requests.Response = self._api.post(
            f"{self._api.base_url}/v{self._api.api_version}/images/create",
            params={"fromImage": repository, "tag": tag or "latest"},
            headers={"X-Registry-Auth": login} if login else {},
            stream=True,
            timeout=STALL,
        )
        return answer

    def pause(self, seconds: float) -> None:
        """Wait, unless it is stopped."""
        self.stopped.wait(seconds)

    def stop(self) -> None:
        """End it as soon as may be; a pull whose first answer is still to come ends when that has come."""
        self.stopped.set()
        connection = getattr(self._response.raw, "connection", None) if self._response is not None else None
        sock = getattr(connection, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):  # ended by itself
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads


class _Layers:
    """What has come of the layers that the engine has begun to download."""

    def __init__(self) -> None:
        self._come: dict[str, int] = {}
        self._sizes: dict[str, int] = {}

    def hear(self, step: dict[str, Any]) -> bool:
        """Take in a line of the engine's answer; says whether it changes anything."""
        layer, status, detail = str(step.get("id", "")), step.get("status"), step.get("progressDetail") or {}
        if status == "Downloading" and "total" in detail:
            self._come[layer], self._sizes[layer] = int(detail.get("current", 0)), int(detail["total"])
            return True
        if status == "Download complete" and layer in self._sizes:
            self._come[layer] = self._sizes[layer]
            return True
        return False

    def __str__(self) -> str:
        return f"{sum(self._come.values()) / 1e6:,.1f} of {sum(self._sizes.values()) / 1e6:,.1f} MB"


@dataclass
class _PullTask:
    """A pull under way."""

    transfer: _Transfer
    waiting: int = 0
    error: Exception | None = None
    ended: threading.Event = field(default_factory=threading.Event)
