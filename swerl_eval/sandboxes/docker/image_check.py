"""Asks registries, through the engine, whether they have images, before a run begins.

Side by side and with the patience of pulls, but for a minute at most. A question that hangs holds up nobody: its thread
is left behind. Each question makes the engine get the image's manifest, which Docker Hub counts as a pull, so no more
are asked for than tell whether the run has a chance and whether its images are named right.
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
from swerl_eval.sandboxes.docker.pulls import RetryPolicy, why_it_waits
from swerl_eval.sandboxes.docker.registry_errors import may_pass

AT_A_TIME = 8
ASKED_AT_MOST = 32
"""Images, unless none of these can be had: then the next ones are asked for."""
ENOUGH_SECONDS = 15.0
"""After so long the rest is left to the jobs, where some image can be had."""
MOST_SECONDS = 60.0
POLL_SECONDS = 0.1


@dataclass
class Answers:
    """What registries said. An image that is in none of these was not asked for, or has no answer yet."""

    had: set[str] = field(default_factory=set)
    missing: dict[str, str] = field(default_factory=dict)
    """And why, for good."""
    failing: dict[str, str] = field(default_factory=dict)
    """The last failure, one that may pass."""
    unable: bool = False
    """The engine cannot ask registries (Podman)."""

    def settled(self, images: Sequence[str]) -> bool:
        """Whether nothing more is to be learned of these."""
        return self.unable or all(image in self.had or image in self.missing for image in images)


class Inquiry:
    """The questions of one check."""

    def __init__(self, client: docker.DockerClient, patience: RetryPolicy, watcher: Watcher) -> None:
        self._client, self._patience, self._watcher = client, patience, watcher
        self._slots = threading.Semaphore(AT_A_TIME)
        self._ended = threading.Event()

    def ask(self, images: Sequence[str], stop: threading.Event, *, some_here: bool) -> Answers:
        """Ask for images that are not here, until enough is known, the time is up or `stop` is set."""
        answers = Answers()
        started = time.monotonic()
        try:
            for first in range(0, len(images), ASKED_AT_MOST):
                batch = images[first : first + ASKED_AT_MOST]
                for image in batch:
                    threading.Thread(target=self._find_out, args=(image, answers), name="ask", daemon=True).start()
                while not answers.settled(batch) and not stop.wait(POLL_SECONDS):
                    enough = some_here or bool(answers.had)
                    if time.monotonic() - started > (ENOUGH_SECONDS if enough else MOST_SECONDS):
                        return answers
                if stop.is_set() or some_here or answers.had or answers.unable:
                    break
        finally:
            self._ended.set()
            for image in images:
                self._watcher.waiting(image, "")
        return answers

    def _find_out(self, image: str, answers: Answers) -> None:
        def again(error: BaseException) -> bool:
            if isinstance(error, SandboxError):
                answers.failing[image] = str(error)
            return may_pass(error, image) and not self._ended.is_set()

        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(again),
            wait=self._patience.pause,
            before_sleep=lambda state: self._tell(image, why_it_waits(state, image)),
            sleep=self._pause,
            reraise=True,
        )
        try:
            attempts(self._question, image, answers)
        except SandboxError as error:
            if not may_pass(error, image):
                answers.missing[image] = str(error)

    def _pause(self, seconds: float) -> None:
        self._ended.wait(seconds)

    def _tell(self, image: str, how: str) -> None:
        if not self._ended.is_set():
            self._watcher.waiting(image, how)

    def _question(self, image: str, answers: Answers) -> None:
        with self._slots:
            if self._ended.is_set():
                return
            self._tell(image, "asking its registry")
            try:
                with translated(f"asking the registry for {image}"):
                    self._client.api.inspect_distribution(image)
            except SandboxError as error:
                cause = error.__cause__
                if isinstance(cause, docker.errors.NotFound) and not _is_json(cause):
                    answers.unable = True
                    return
                raise
        answers.had.add(image)
        self._tell(image, "")


def _is_json(error: docker.errors.APIError) -> bool:
    """Whether the engine answered, and not its web server for want of such an address."""
    return error.response is not None and "json" in str(error.response.headers.get("Content-Type"))
