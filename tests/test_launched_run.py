"""Runs with launched servers."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from swerl_eval.cli.display import Display
from swerl_eval.cli.options import resolve
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import SamplerError
from swerl_eval.progress import Progress
from swerl_eval.runner import Runner

pytestmark = pytest.mark.slow

FAKE = Path(__file__).parent / "fake_server.py"


def launching(config: RunConfig, notes: Path, *options: str) -> RunConfig:
    command = shlex.join([sys.executable, str(FAKE), "--port", "{port}", "--notes", str(notes), *options])
    return config.model_copy(update={"sampler": "openai", "model": "m", "launch": command, "limit": 3})


def lives(notes: Path) -> int:
    return len(list(notes.glob("life-*.json")))


def localize(config: RunConfig) -> Runner:
    work = Runner(config, until="localize")
    with work.open_run() as run:
        assert work.execute(run).complete
    return work


def test_a_run_starts_its_server_records_what_became_of_it_and_a_finished_one_starts_none(
    demo_config: RunConfig, tmp_path: Path
) -> None:
    config = launching(demo_config, tmp_path / "notes", "--deaths", "1", "--die-at", "2")
    work = localize(config)
    assert lives(tmp_path / "notes") == 2
    log = work.config.run_folder / "logs" / "server-0.log"
    assert log.read_text().count("listens on") == 2
    events = [json.loads(line) for line in (config.run_folder / "events.jsonl").read_text().splitlines()]
    said = [event["event"] for event in events if event["stage"] == "sample"]
    assert said == work.progress.notices
    assert [line for line in said if "ended" in line] == ["server 0 ended with exit code 3"]

    localize(config)
    assert lives(tmp_path / "notes") == 2


def test_a_server_that_cannot_start_ends_the_run_with_its_last_words(demo_config: RunConfig, tmp_path: Path) -> None:
    config = launching(demo_config, tmp_path / "notes", "--fail", "no GPU found")
    work = Runner(config, until="localize")
    with work.open_run() as run, pytest.raises(SamplerError, match=r"before it was ready.*\nno GPU found"):
        work.execute(run)


def test_the_model_that_writes_tests_has_servers_of_its_own_after_the_others(
    demo_config: RunConfig, tmp_path: Path
) -> None:
    command = f"{sys.executable} {FAKE} --port {{port}} --notes {tmp_path}/{{model}}-{{index}}"
    config = demo_config.model_copy(
        update={"sampler": "openai", "model": "m", "test_model": "t", "launch": command, "servers": 2, "tests": 1}
    )
    work = Runner(config, until="localize")
    launched = [sampler._launched for sampler in (work._sampler, work._test_sampler)]  # type: ignore[union-attr]
    assert [(servers._launch.first, servers._command[-1]) for servers in launched] == [
        (0, f"{tmp_path}/m-{{index}}"),
        (2, f"{tmp_path}/t-{{index}}"),
    ]


def test_addresses_given_again_and_again_add_up() -> None:
    config = resolve({"base_url": ["http://a/v1,http://b/v1", "http://c/v1"]})
    assert config.base_url == ("http://a/v1", "http://b/v1", "http://c/v1")


def test_each_notice_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    with Display(progress, ("localize",), "trial"):
        progress.notify("server 0 is ready after 3 s")
        progress.notify("server 0 ended with exit code 3")
    shown = capsys.readouterr().err
    assert shown.count("] server 0 is ready after 3 s\n") == 1
    assert shown.index("is ready") < shown.index("ended with")
