"""Trackers of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from swerl_eval.cli.options import resolve
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import UsageError
from swerl_eval.ports import TrackerSettings
from swerl_eval.runner import Runner
from swerl_eval.trackers.jsonl import JsonlTracker
from swerl_eval.tracking import open_tracking

OPENED: list[TrackerSettings] = []


class FailingTracker(JsonlTracker):
    """Notes its settings, and cannot be opened. Named to a run as `tests.test_tracking:FailingTracker`."""

    @classmethod
    def open(cls, run_id: str, config: Mapping[str, Any], settings: TrackerSettings) -> JsonlTracker:
        OPENED.append(settings)
        raise ConnectionError("cannot reach hush-hush-0123456789")


FAILING = "tests.test_tracking:FailingTracker"


def carried_out(config: RunConfig) -> Runner:
    work = Runner(config)
    with work.open_run() as run:
        assert work.execute(run).complete
    return work


def test_a_run_passes_its_figures_its_table_and_its_report_to_its_trackers_and_one_that_fails_fails_alone(
    demo_config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "hush-hush-0123456789")
    monkeypatch.setenv("SWERL_EVAL_PAGE", "")
    tracking = {"project": "p", "tags": "a, b", FAILING: {"group": "g", "own": 1}, "uri": "http://me:hush@h"}
    update = {"sandbox": "scripted", "tracker": ("jsonl", FAILING), "tracking": tracking}
    OPENED.clear()
    work = carried_out(demo_config.model_copy(update=update))
    failed = f"tracker {FAILING} failed and gets nothing more: ConnectionError: cannot reach <redacted>"
    assert work.progress.notices == [failed]
    folder = work.config.run_folder
    assert [
        TrackerSettings(
            folder / "trackers" / "tests.test_tracking.FailingTracker",
            "p", "", "g", ("a", "b"), "http://me:hush@h", more={"own": 1},
        )
    ] == OPENED  # fmt: skip
    lines = [json.loads(line) for line in (folder / "trackers/jsonl/figures.jsonl").read_text().splitlines()]
    first, figures, last = lines[0], lines[-2], lines[-1]
    assert first["run"] == folder.name
    assert first["config"]["samples"] == 8
    assert first["config"]["tracking"]["uri"] == "http://<redacted>@h"
    assert first["config"]["versions"]["swebench"]
    assert figures["figures"]["stage/evaluate"] == 9
    assert figures["figures"]["verdict/empty_patch"] == 1
    assert figures["step"] >= 0
    report = json.loads((folder / "report.json").read_text())
    assert [row["verdict"] for row in last["table"]] == [row["verdict"] for row in report["instances"]]
    assert last["artifacts"] == ["report.json", "report.html"]


def test_trackers_are_no_part_of_what_a_run_is(demo_config: RunConfig) -> None:
    tracked = demo_config.model_copy(update={"tracker": ("jsonl",), "tracking": {"project": "p"}})
    assert tracked.run_folder == demo_config.run_folder


def test_a_tracker_that_is_not_there_is_named_before_there_is_a_run_folder(demo_config: RunConfig) -> None:
    config = demo_config.model_copy(update={"tracker": ("wnadb",)})
    with pytest.raises(UsageError, match="no tracker 'wnadb'; did you mean wandb"):
        Runner(config)
    assert not config.run_folder.exists()


def test_a_tracker_whose_address_was_stored_without_its_password_gets_nothing(demo_config: RunConfig) -> None:
    update = {"tracker": ("jsonl",), "tracking": {"uri": "http://<redacted>@h"}}
    notices: list[str] = []
    assert not open_tracking(demo_config.model_copy(update=update), notices.append)
    assert notices == ["tracker jsonl gets nothing: a run folder stores no secrets, so give the table tracking again"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            "tracking.projet=x",
            "tracking: tracking.projet: there are project, entity, group, tags, uri, offline, and tables",
        ),
        ("tracking.offline=maybe", "tracking: tracking.offline cannot be 'maybe'"),
    ],
)
def test_a_wrong_setting_of_trackers_is_named(setting: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        resolve({"overrides": [setting]})


def test_trackers_are_given_again_and_again_or_with_commas_and_taken_back_from_a_resume() -> None:
    assert resolve({"tracker": ["wandb,jsonl", "trackio"]}).tracker == ("wandb", "jsonl", "trackio")
    assert resolve({"tracker": [""]}).tracker == ()


def test_no_tracker_is_the_default(demo_config: RunConfig) -> None:
    assert not open_tracking(demo_config, print)
