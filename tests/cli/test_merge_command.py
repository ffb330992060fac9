"""`swerl-eval merge` as a user types it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from swerl_eval.cli.app import app
from swerl_eval.config import RunConfig
from swerl_eval.records.manifest import Unsharded, read_manifest, write_manifest
from swerl_eval.records.run_folder import Run
from tests.reports.comparison_runs import MANIFEST, NAMES, made

HALVES = (NAMES[:6], NAMES[6:])


def shards(folder: Path, second: str = "RuRuRu") -> list[Path]:
    """Make the two shards of a run of all instances."""
    settings = RunConfig(model="org/model").model_dump(mode="json")
    for number, (names, verdicts) in enumerate(zip(HALVES, ("RRRRRR", second), strict=True), start=1):
        instances = {name: MANIFEST.instances[name] for name in names}
        config = {**settings, "shard": f"{number}/2"}
        folder_of_shard = folder / f"shard-{number}"
        identity = {key: config[key] for key in ("samples", "shard")}
        made(folder_of_shard, verdicts, instances=instances, config=config, identity=identity)
        manifest = read_manifest(folder_of_shard)
        write_manifest(
            folder_of_shard,
            dataclasses.replace(manifest, unsharded=Unsharded(MANIFEST.instances, MANIFEST.dataset_fingerprint)),
        )
    return [folder / "shard-1", folder / "shard-2"]


def merge(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["merge", *map(str, arguments)])


def test_merged_shards_are_reported_over_all_instances(tmp_path: Path) -> None:
    done = merge(*shards(tmp_path), "--results", tmp_path, "--run-id", "full")
    assert done.exit_code == 0, done.output
    assert "9/12 = 75.0 %" in " ".join(done.stdout.split())
    assert read_manifest(tmp_path / "full").run_id == "full"


def test_without_a_name_the_folder_is_that_of_the_unsharded_command(tmp_path: Path) -> None:
    done = merge(*shards(tmp_path), "--results", tmp_path)
    assert done.exit_code == 0, done.output
    name = RunConfig(model="org/model").default_run_id()
    assert len(Run(tmp_path / name).selections) == len(NAMES)


def test_an_incomplete_merge_exits_1_and_names_what_is_missing(tmp_path: Path) -> None:
    first, second = shards(tmp_path)
    done = merge(first, first, "--results", tmp_path, "--run-id", "half")
    assert done.exit_code == 1
    absent = ", ".join(sorted(NAMES[6:])[:5])
    assert f"6 of 12 instances are in none of the folders: {absent} and 1 more\n" in done.output
    assert (tmp_path / "half/report.json").exists()
    assert merge(first, second, "--results", tmp_path, "--run-id", "full").exit_code == 0
