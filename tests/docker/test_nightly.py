"""Two nights of `scripts/nightly.sh`, as the GitHub action runs it: a green one, then a worse one that goes red."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import tomli_w
import yaml

from swerl_eval.demo.setup import ANSWERS, demo_settings

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github/actions/nightly"
PROGRAM = Path(sys.executable).parent / "swerl-eval"
WORSE = "demo__ledgerly-1"
"""The instance whose answers are spoilt in the second night."""
MOST_SUMMARY_BYTES = 200_000

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("demo_images")]


class Nights:
    """Runs the action's step `Run and gate` in a folder, night after night."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results"

    def run(self, name: str, answers: Path, gate: str = "--max-regressions=0", **environment: str) -> int:
        """Run one night; returns the exit code of the step."""
        config = self.folder / f"{name}.toml"
        settings = {key: value for key, value in demo_settings().items() if key != "run_id"}
        config.write_text(tomli_w.dumps(settings | {"answers": str(answers)}), encoding="utf-8")
        inputs = {
            "inputs.run": f"--config={config}\n\n  -c evaluate=selected",
            "inputs.gate": gate,
            "inputs.results": "results",
            "inputs.run-id": name,
            "runner.temp": str(self.folder),
        }
        (step,) = [step for step in action()["runs"]["steps"] if step.get("id") == "night"]
        given = {key: filled(value, inputs) for key, value in step["env"].items()}
        files = {key: str(self.folder / f"{name}.{key.lower()}") for key in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", step["run"]],
            cwd=self.folder,
            env={
                **os.environ,
                **files,
                "SWERL_EVAL_PAGE": "",
                "GITHUB_ACTION_PATH": str(ACTION),
                "SWERL_EVAL": str(PROGRAM),
            }
            | given
            | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        (self.folder / f"{name}.log").write_text(done.stdout + done.stderr, encoding="utf-8")
        return done.returncode

    def summary(self, name: str) -> str:
        """What the night added to the job's summary."""
        return (self.folder / f"{name}.github_step_summary").read_text(encoding="utf-8")

    def baseline(self) -> str:
        """The run that the next night is compared with."""
        run_id: str = json.loads((self.folder / "nightly-baseline/run.json").read_bytes())["run_id"]
        return run_id


def action() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ACTION / "action.yml").read_text(encoding="utf-8"))
    return content


def filled(text: str, inputs: Mapping[str, str]) -> str:
    """Replace the expressions of a step's environment; those that are not given are empty."""
    head, *rest = text.split("${{ ")
    for part in rest:
        name, _, tail = part.partition(" }}")
        head += inputs.get(name, "") + tail
    return head


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """A green night, then one whose answers for one instance are spoilt."""
    nights = Nights(tmp_path_factory.mktemp("nights"))
    lines = ANSWERS.read_text(encoding="utf-8").splitlines()
    spoilt = [json.loads(line) for line in lines]
    for answer in spoilt:
        if answer["instance_id"] == WORSE and answer["stage"] == "repair":
            answer["completions"] = [{**completion, "text": "I do not know."} for completion in answer["completions"]]
    worse = nights.folder / "worse.jsonl"
    worse.write_text("".join(json.dumps(answer) + "\n" for answer in spoilt), encoding="utf-8")
    assert nights.run("monday", ANSWERS) == 0, (nights.folder / "monday.log").read_text()
    assert nights.run("tuesday", worse) == 3, (nights.folder / "tuesday.log").read_text()
    return nights


def test_a_green_night_is_the_next_nights_baseline_and_a_red_one_is_not(nights: Nights) -> None:
    assert nights.baseline() == "monday"
    assert (nights.folder / "monday.github_output").read_text() == "code=0\n"
    assert (nights.folder / "tuesday.github_output").read_text() == "code=3\n"


def test_the_summary_of_a_red_night_names_what_was_lost(nights: Nights) -> None:
    green, red = nights.summary("monday"), nights.summary("tuesday")
    assert WORSE in red
    assert WORSE not in green
    assert "7 of 9" in green
    assert "6 of 9" in red
    assert max(len(green.encode()), len(red.encode())) < MOST_SUMMARY_BYTES


def test_both_nights_leave_a_test_report_and_a_page(nights: Nights) -> None:
    for name, failures in (("monday", 0), ("tuesday", 1)):
        run = nights.results / name
        assert (run / "report.html").stat().st_size > 0
        root = ElementTree.parse(run / "junit.xml").getroot()
        assert len(root.findall(".//failure")) >= failures
        assert bool(root.findall(".//failure")) == bool(failures)


def test_a_night_without_its_secrets_is_skipped_green_with_a_note(nights: Nights) -> None:
    assert nights.run("skipped", ANSWERS, NIGHTLY_NEEDS="HOME NO_SUCH_SECRET") == 0
    assert nights.summary("skipped") == "Skipped: NO_SUCH_SECRET is not set.\n"
    assert not (nights.results / "skipped").exists()


def test_a_night_whose_command_is_wrong_ends_with_that_commands_code(nights: Nights) -> None:
    assert nights.run("odd", nights.folder / "no-such-answers.jsonl") == 2
    assert nights.baseline() == "monday"


def test_the_same_night_again_takes_no_container_and_ends_the_same(nights: Nights) -> None:
    before = (nights.results / "tuesday/evaluations.jsonl").read_bytes()
    assert nights.run("tuesday", nights.folder / "worse.jsonl") == 3
    assert (nights.results / "tuesday/evaluations.jsonl").read_bytes() == before
