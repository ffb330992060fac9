"""Asks registries, through the engine, whether they have images, before a run begins.

Questions run side by side, with the retries of pulls, for at most a minute. A question that hangs delays nothing: its
thread is left behind. Each question makes the engine fetch the image's manifest, which Docker Hub counts as a pull. So
only as many images are asked for as show whether the run can work and whether its images are named correctly.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import docker
import docker.errors
import tenacity

from swerl_eval.core.errors import SandboxError
from swerl_eval.ports import Watcher
from swerl_eval.sandboxes.docker.engine import translated
from swerl_eval.sandboxes.docker.pulls import RetryPolicy, pause_status
from swerl_eval.sandboxes.docker.registry_errors import is_transient

AT_A_TIME = 8
ASKED_AT_MOST = 32
"""Images that are asked for first; more only while none can be had."""
ENOUGH_SECONDS = 15.0
"""After so long, the check ends if at least one image can be had."""
MOST_SECONDS = 60.0
"""After so long, the check ends in any case."""
POLL_SECONDS = 0.1


@dataclass
class RegistryAnswers:
    """What registries answered. An image in none of these was not asked for, or has no answer yet."""

    available: set[str] = field(default_factory=set)
    missing: dict[str, str] = field(default_factory=dict)
    """Images that cannot be had, and the reason."""
    failing: dict[str, str] = field(default_factory=dict)
    """Images whose last question failed, and the reason."""
    unsupported: bool = False
    """The engine cannot ask registries (Podman)."""

    def settled(self, images: Sequence[str]) -> bool:
        """Whether there is an answer for each of these images."""
        return self.unsupported or all(image in self.available or image in self.missing for image in images)


class RegistryCheck:
    """Asks registries for the images of one run."""

    def __init__(self, client: docker.DockerClient, retry_policy: RetryPolicy, watcher: Watcher) -> None:
        self._client, self._retry_policy, self._watcher = client, retry_policy, watcher
        self._slots = threading.Semaphore(AT_A_TIME)
        self._ended = threading.Event()

    def ask(self, images: Sequence[str], stop: threading.Event, *, some_here: bool) -> RegistryAnswers:
        """Ask for images that are not here, until enough is known, the time is up or `stop` is set.

        `some_here` says that the run has other images, which are here.
        """
        answers = RegistryAnswers()
        started = time.monotonic()
        try:
            for first in range(0, len(images), ASKED_AT_MOST):
                batch = images[first : first + ASKED_AT_MOST]
                for image in batch:
                    threading.Thread(
                        target=self._ask_with_retries, args=(image, answers), name="ask", daemon=True
                    ).start()
                while not answers.settled(batch) and not stop.wait(POLL_SECONDS):
                    enough = some_here or bool(answers.available)
                    if time.monotonic() - started > (ENOUGH_SECONDS if enough else MOST_SECONDS):
                        return answers
                if stop.is_set() or some_here or answers.available or answers.unsupported:
                    break
        finally:
            self._ended.set()
            for image in images:
                self._watcher.waiting(image, "")
        return answers

    def _ask_with_retries(self, image: str, answers: RegistryAnswers) -> None:
        def is_worth_retrying(error: BaseException) -> bool:
            if isinstance(error, SandboxError):
                answers.failing[image] = str(error)
            return is_transient(error, image) and not self._ended.is_set()

        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(is_worth_retrying),
            wait=self._retry_policy.pause,
            before_sleep=lambda state: self._show(image, pause_status(state, image)),
            sleep=self._pause,
            reraise=True,
        )
        try:
            attempts(self._ask, image, answers)
        except SandboxError as error:
            if not is_transient(error, image):
                answers.missing[image] = str(error)

    def _pause(self, seconds: float) -> None:
        self._ended.wait(seconds)

    def _show(self, image: str, status: str) -> None:
        if not self._ended.is_set():
            self._watcher.waiting(image, status)

    def _ask(self, image: str, answers: RegistryAnswers) -> None:
        with self._slots:
            if self._ended.is_set():
                return
            self._show(image, "asking its registry")
            try:
                with translated(f"asking the registry for {image}"):
                    self._client.api.inspect_distribution(image)
            except SandboxError as error:
                cause = error.__cause__
                if isinstance(cause, docker.errors.NotFound) and not _is_json(cause):
                    answers.unsupported = True
                    return
                raise
        answers.available.add(image)
        self._show(image, "")


def _is_json(error: docker.errors.APIError) -> bool:
    """Whether the answer is the engine's own, and not its web server's for an unknown address."""
    return error.response is not None and "json" in str(error.response.headers.get("Content-Type"))
