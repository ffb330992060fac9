"""What becomes of a tracker that fails, hangs or is slow: the run goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.ports import TrackerSettings
from swerl_eval.trackers import background
from swerl_eval.trackers.background import BackgroundTracker, Tracking


def tracker(
    do: Callable[[str, Any], None], notices: list[str], name: str = "odd"
) -> tuple[BackgroundTracker, list[tuple[str, Any]]]:
    """A tracker that notes its calls, and does something in each."""
    calls: list[tuple[str, Any]] = []

    def called(method: str, argument: Any) -> None:
        calls.append((method, argument))
        do(method, argument)

    class Odd:
        @classmethod
        def check(cls, settings: TrackerSettings) -> None:
            called("check", settings)

        @classmethod
        def open(cls, run_id: str, config: Mapping[str, Any], settings: TrackerSettings) -> Odd:
            called("open", (run_id, config))
            return cls()

        def log(self, figures: Mapping[str, float], step: int) -> None:
            called("log", (figures, step))

        def finish(
            self, report: Mapping[str, Any], table: Sequence[Mapping[str, Any]], artifacts: Sequence[Path]
        ) -> None:
            called("finish", (report, table, artifacts))

    return BackgroundTracker(name, Odd, TrackerSettings(Path("nowhere")), notices.append), calls


def nothing(method: str, argument: Any) -> None:
    del method, argument


def test_a_tracker_is_called_in_order_and_the_end_is_waited_for() -> None:
    notices: list[str] = []
    odd, calls = tracker(lambda method, _: time.sleep(0.1) if method == "finish" else None, notices)
    tracking = Tracking([odd])
    tracking.start("r", {"model": "m"})
    tracking.log({"samples": 1.0}, 3)
    tracking.finish({"resolved": 1}, [{"instance_id": "a"}], [Path("report.json")])
    assert calls == [
        ("open", ("r", {"model": "m"})),
        ("log", ({"samples": 1.0}, 3)),
        ("finish", ({"resolved": 1}, [{"instance_id": "a"}], [Path("report.json")])),
    ]
    assert notices == []


@pytest.mark.parametrize("method", ["open", "log", "finish"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SystemExit(3), ValueError("x\ny" * 300)])
def test_one_that_raises_gets_nothing_more_which_is_said_once(method: str, error: BaseException) -> None:
    def fail(called: str, argument: Any) -> None:
        if called == method:
            raise error

    notices: list[str] = []
    odd, calls = tracker(fail, notices)
    good, good_calls = tracker(nothing, notices)
    tracking = Tracking([odd, good])
    tracking.start("r", {})
    for step in range(3):
        tracking.log({}, step)
        time.sleep(0.02)
    tracking.finish({}, [], [])
    assert [name for name, _ in calls].count(method) == 1
    assert calls[-1][0] == method
    assert [name for name, _ in good_calls] == ["open", "log", "log", "log", "finish"]
    assert len(notices) == 1
    assert notices[0].startswith(f"tracker odd failed and gets nothing more: {type(error).__name__}: ")
    assert len(notices[0]) < 400
    assert "\n" not in notices[0]


@pytest.mark.parametrize("method", ["open", "log", "finish"])
def test_one_that_hangs_is_given_up_at_the_end_and_does_not_hold_the_others(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "FINISH_SECONDS", 0.3)
    release = threading.Event()

    def hang(called: str, argument: Any) -> None:
        if called == method:
            release.wait(300)
            raise OSError("much too late")

    notices: list[str] = []
    odd, _ = tracker(hang, notices)
    good, calls = tracker(nothing, notices)

    def notify(notice: str) -> None:  # after the wait for `odd`, before the one for `good`, which has no time left
        assert good._thread is not None
        good._thread.join(60)
        notices.append(notice)

    odd._notify = notify
    tracking = Tracking([odd, good])
    began = time.monotonic()
    tracking.start("r", {})
    for step in range(100):
        tracking.log({}, step)
    tracking.finish({}, [], [])
    assert time.monotonic() - began < 60
    assert calls[-1] == ("finish", ({}, [], []))
    assert notices == ["tracker odd is given up: it did not finish within 0 s"]
    release.set()
    assert odd._thread is not None
    odd._thread.join(60)
    assert len(notices) == 1  # nobody listens any more


def test_figures_that_come_faster_than_a_tracker_takes_them_are_left_out() -> None:
    release = threading.Event()
    notices: list[str] = []

    def open_slowly(method: str, argument: Any) -> None:
        if method == "open":
            release.wait(300)

    odd, calls = tracker(open_slowly, notices)
    tracking = Tracking([odd])
    tracking.start("r", {})
    for step in range(100):
        tracking.log({}, step)
    release.set()
    tracking.finish({}, [], [])
    steps = [argument[1] for name, argument in calls if name == "log"]
    assert steps == [0, 1, 2]
    assert calls[-1][0] == "finish"


def test_without_trackers_nothing_is_done() -> None:
    tracking = Tracking()
    assert not tracking
    tracking.start("r", {})
    tracking.finish({}, [], [])
