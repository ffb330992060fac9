"""What makes two runs the same run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.config import BOUND_BY, SPEED_ONLY, RunConfig
from tests.config.configs import OTHER_VALUES

NOT_IDENTITY = SPEED_ONLY | {"evaluate", "strict", "prices"}


def test_the_identity_leaves_out_what_only_decides_speed_and_place_or_only_adds_verdicts() -> None:
    assert set(RunConfig().identity()) == set(RunConfig.model_fields) - NOT_IDENTITY
    assert {key for key, kinds in BOUND_BY.items() if not kinds} == {"evaluate", "strict", "prices"}


def test_a_run_goes_on_whichever_way_the_engine_s_processes_are_started() -> None:
    one, other = (RunConfig(engine={"distributed_executor_backend": name}) for name in ("mp", "ray"))
    assert one.identity() == other.identity() == RunConfig().identity()


def test_a_run_that_ran_out_of_a_gpus_memory_is_resumed_with_less_of_it_or_on_more_gpus() -> None:
    first, second, other = (
        RunConfig(engine={"max_model_len": length, "gpu_memory_utilization": share, "tensor_parallel_size": gpus})
        for length, share, gpus in ((8192, 0.95, 1), (8192, 0.85, 4), (4096, 0.95, 1))
    )
    assert first.identity()["engine"] == {"max_model_len": 8192}
    assert first.default_run_id() == second.default_run_id() != other.default_run_id()
    assert {
        "workers", "requests", "results", "run_id", "cache", "base_url", "repositories", "submission", "disk", "reuse",
        "quarantine", "launch", "servers", "launch_timeout", "requests_per_server", "tracker", "tracking",
        "ray_address",
    } == SPEED_ONLY  # fmt: skip


def test_a_run_may_go_on_with_the_same_containers_on_more_machines() -> None:
    one, many, none = (RunConfig(sandbox=name) for name in ("docker", "ray", "scripted"))
    assert one.identity() == many.identity() != none.identity()
    assert one.default_run_id() == many.default_run_id() == RunConfig().default_run_id() != none.default_run_id()


@pytest.mark.parametrize("key", RunConfig.model_fields)
def test_the_default_run_id_changes_with_a_setting_that_a_result_depends_on_and_with_no_other(key: str) -> None:
    changed = RunConfig(**{key: OTHER_VALUES[key]})
    assert getattr(changed, key) != getattr(RunConfig(), key)
    assert (changed.default_run_id() == RunConfig().default_run_id()) is (key in NOT_IDENTITY)


def test_the_default_run_id_is_the_same_in_every_process() -> None:
    settings: dict[str, Any] = {
        "model": "org/My Model!",
        "dataset": "data/demo.parquet",
        "engine": {"b": 1, "a": 2},
        "repo": ("x/y",),
    }
    program = f"from swerl_eval.config import RunConfig; print(RunConfig(**{settings!r}).default_run_id())"
    run_ids = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parent.parent.parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1")
    }
    assert run_ids == {RunConfig(**settings).default_run_id()}


@pytest.mark.parametrize(
    ("settings", "stem"),
    [
        ({}, "openai-verified"),
        ({"model": "org/model-7b", "dataset": "lite"}, "model-7b-lite"),
        ({"model": "/models/My Model/", "dataset": "x/data.parquet"}, "My-Model-data.parquet"),
        ({"model": "../..", "dataset": "verified"}, "verified"),
        ({"dataset": "verified@v1.0"}, "openai-verified-v1.0"),
        ({"dataset": f"owner/name@{'0123456789' * 4}"}, "openai-name-012345678901"),
        ({"dataset": "owner/name@refs/pr/3"}, "openai-name-refs-pr-3"),
        ({"dataset": "data/mine@2.parquet"}, "openai-mine-2.parquet"),
        ({"dataset": "/data/mine@2"}, "openai-mine-2"),
    ],
)
def test_the_default_run_id_is_readable_and_a_plain_folder_name(settings: dict[str, Any], stem: str) -> None:
    name = RunConfig(**settings).default_run_id()
    head, _, digest = name.rpartition("-")
    assert head == stem
    assert len(digest) == 8
    assert int(digest, 16) >= 0


def test_the_run_folder_is_that_of_the_run_id_or_else_of_the_settings() -> None:
    assert RunConfig(results="r", run_id="mine").run_folder == Path("r/mine")
    config = RunConfig(results="r")
    assert config.run_folder == Path("r") / config.default_run_id()


@pytest.mark.parametrize(
    ("settings", "run_id"),
    [
        ({}, "openai-verified-cb375391"),
        ({"model": "m"}, "m-verified-928c6342"),
        ({"model": "m", "regression": True, "strict": False}, "m-verified-7418b960"),
        ({"model": "m", "regression": True, "tests": 3}, "m-verified-f64d411c"),
    ],
)
def test_the_default_run_id_does_not_change_by_accident(settings: dict[str, Any], run_id: str) -> None:
    """Golden names: the same command resumes its run after an upgrade. Another default of a setting is meant to change
    them, and CHANGELOG has to say so."""
    assert RunConfig(**settings).default_run_id() == run_id


def test_a_run_id_does_not_depend_on_a_secret_but_on_the_server_that_it_is_for() -> None:
    first, second, other = (
        RunConfig(request={"router": f"http://me:{password}@{host}/v1", "api_key": password}).default_run_id()
        for password, host in (("a-password", "one"), ("another", "one"), ("a-password", "two"))
    )
    assert first == second != other
