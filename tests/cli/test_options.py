"""How a command's options become a configuration."""

from __future__ import annotations

import dataclasses
import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from typer.testing import CliRunner

import swerl_eval
from swerl_eval.cli.app import app
from swerl_eval.cli.options import resolve
from swerl_eval.cli.switches import replace_words
from swerl_eval.config import BOUND_BY, RunConfig, load_config
from swerl_eval.core.errors import RunConflictError, UsageError
from swerl_eval.records.atomic import write_json
from swerl_eval.records.manifest import RunManifest
from swerl_eval.records.run_folder import open_run
from tests.config.configs import written


def write_manifest(results: Path, config: RunConfig) -> None:
    """The manifest of a run with these settings."""
    (results / "r").mkdir()
    manifest = RunManifest("r", config.model_dump(mode="json"), config.identity(), {}, "", {}, {}, "m", False, "")
    write_json(results / "r" / "run.json", dataclasses.asdict(manifest))


def test_a_resume_with_one_engine_setting_keeps_the_others_of_the_run(tmp_path: Path) -> None:
    write_manifest(tmp_path, RunConfig(model="m", engine={"max_model_len": 8192, "gpu_memory_utilization": 0.95}))
    resumed = resolve({"results": str(tmp_path), "run_id": "r", "overrides": ["engine.gpu_memory_utilization=0.8"]})
    assert resumed.engine == {"max_model_len": 8192, "gpu_memory_utilization": 0.8}
    assert resumed.model == "m"


@pytest.mark.parametrize(("regression", "strict"), [("on", "off"), ("off", "on")])
def test_a_run_that_stored_on_and_off_is_resumed(regression: str, strict: str, tmp_path: Path) -> None:
    config = RunConfig.model_validate({"model": "m", "regression": regression, "strict": strict})
    write_manifest(tmp_path, config)
    manifest = RunManifest(**json.loads((tmp_path / "r/run.json").read_bytes()))
    old = dataclasses.replace(
        manifest,
        config=manifest.config | {"regression": regression, "strict": strict},
        identity=manifest.identity | {"regression": regression},
    )
    write_json(tmp_path / "r/run.json", dataclasses.asdict(old))
    resumed = resolve({"results": str(tmp_path), "run_id": "r"})
    assert (resumed.regression, resumed.strict) == (regression == "on", strict == "on")
    now = dataclasses.replace(manifest, config=resumed.model_dump(mode="json"), identity=resumed.identity())
    with open_run(tmp_path / "r", now, BOUND_BY) as run:
        assert run.manifest.identity == old.identity
    other = resumed.model_copy(update={"regression": not resumed.regression}).identity()
    with pytest.raises(RunConflictError, match=f"regression: '{regression}' there"):
        open_run(tmp_path / "r", dataclasses.replace(now, identity=other), BOUND_BY)


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"swerl-eval {swerl_eval.__version__}\n")


NEGATIONS = {"--strict": "--no-strict", "--regression": "--no-regression"}


@pytest.mark.parametrize(
    ("arguments", "replaced"),
    [
        ("--strict on", "--strict"),
        ("--strict off", "--no-strict"),
        ("--strict=on", "--strict"),
        ("--strict=off --regression on", "--no-strict --regression"),
        ("--strict", "--strict"),
        ("--no-strict", "--no-strict"),
        ("--no-strict on", "--no-strict on"),
        ("--regression results/my-run", "--regression results/my-run"),
        ("results/my-run --regression off", "results/my-run --no-regression"),
        ("--strict=maybe", "--strict=maybe"),
        ("--model on --strict", "--model on --strict"),
        ("-c strict=off", "-c strict=off"),
        ("-- --strict off", "-- --strict off"),
        ("", ""),
    ],
)
def test_the_old_spelling_of_a_boolean_option_is_replaced(arguments: str, replaced: str) -> None:
    assert replace_words(arguments.split(), NEGATIONS) == replaced.split()


@pytest.mark.parametrize(
    ("arguments", "regression", "strict"),
    [
        ("", False, True),
        ("--regression --no-strict", True, False),
        ("--regression on --strict off", True, False),
        ("--regression=on --strict=off", True, False),
        ("--strict on --no-regression", False, True),
        ("-c strict=off -c regression=on", True, False),
    ],
)
def test_boolean_options_take_both_spellings_on_the_command_line(
    arguments: str, regression: bool, strict: bool, tmp_path: Path
) -> None:
    with redirect_stdout(io.StringIO()) as output:
        app(["config", *arguments.split()], standalone_mode=False)
    config = load_config(written(tmp_path, output.getvalue()))
    assert (config.regression, config.strict) == (regression, strict)


def test_an_option_that_is_no_pair_is_left_as_it_is() -> None:
    """`reward --strict` has no `--no-strict`: a word after it is the file of answers."""
    with pytest.raises(UsageError, match="cannot read on: No such file"):
        app(["reward", "--strict", "on"], standalone_mode=False)
