from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.cli.options import resolve
from swerl_eval.cli.show_config import print_config
from swerl_eval.config import (
    BOUND_BY,
    SPEED_ONLY,
    RunConfig,
    load_config,
    merge_settings,
    openai_credentials,
    parse_size,
)
from swerl_eval.core.errors import InputError, UsageError
from swerl_eval.records.run_folder import RunManifest, write_json


def written(folder: Path, text: str) -> Path:
    file = folder / "settings.toml"
    file.write_text(text, encoding="utf-8")
    return file


def complaint(**arguments: Any) -> str:
    with pytest.raises(UsageError) as caught:
        load_config(**arguments)
    return str(caught.value)


def test_options_come_before_overrides_before_the_file_before_the_defaults(tmp_path: Path) -> None:
    file = written(tmp_path, 'model = "file"\nseed = 1\nsamples = 2\n')
    config = load_config(file, ["seed=10", "samples=20"], {"samples": 200})
    assert (config.model, config.seed, config.samples, config.limit) == ("file", 10, 200, None)


def test_an_option_that_was_not_given_overrides_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, "samples = 2\n")
    assert load_config(file, (), {"samples": None, "model": None}).samples == 2


def test_of_two_overrides_of_a_setting_the_last_counts() -> None:
    assert load_config(None, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("samples=8", "samples", 8),
        ("temperature = 0.2", "temperature", 0.2),
        ("thinking=false", "thinking", False),
        ("model=org/model-7b", "model", "org/model-7b"),
        ('model="org/model-7b"', "model", "org/model-7b"),
        ("model=a=b", "model", "a=b"),
        ("model=", "model", ""),
        ("memory=16g", "memory", "16g"),
        ("shard=2/4", "shard", "2/4"),
        ('repo=["a/b", "c/d"]', "repo", ("a/b", "c/d")),
        ("engine={dtype = 'float16'}", "engine", {"dtype": "float16"}),
        ("engine.tensor_parallel_size=2", "engine", {"tensor_parallel_size": 2}),
        ("engine.hf_overrides.a=1", "engine", {"hf_overrides": {"a": 1}}),
        ("submission.os_model=true", "submission", {"os_model": True}),
    ],
)
def test_an_override_is_a_toml_value_or_else_the_text_itself(override: str, key: str, value: object) -> None:
    assert getattr(load_config(None, [override]), key) == value


def test_an_override_of_a_table_keeps_what_the_file_says_beside_it(tmp_path: Path) -> None:
    file = written(tmp_path, '[engine]\ndtype = "float16"\nmax_model_len = 8192\n')
    config = load_config(file, ["engine.max_model_len=4096", "engine.seed=3"])
    assert config.engine == {"dtype": "float16", "max_model_len": 4096, "seed": 3}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("samples", "-c 'samples': write it as key=value"),
        ("samples.x=1", "samples: Input should be a valid integer"),
        ("model.x.y=1", "model: Input should be a valid string"),
        ("sampels=3", "unknown setting 'sampels'; did you mean samples?"),
        ("qqq=3", "unknown setting 'qqq'; `swerl-eval config` prints all settings"),
        ("=3", "unknown setting ''; `swerl-eval config` prints all settings"),
    ],
)
def test_an_override_that_cannot_be_is_named(override: str, message: str) -> None:
    assert complaint(overrides=[override]) == message


def test_an_override_below_a_setting_that_is_no_table_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, 'model = "m"\n')
    assert complaint(file=file, overrides=["model.x=1"]) == "-c model.x: model is not a table"


def test_an_unknown_key_of_the_file_is_named_with_the_file_and_what_was_meant(tmp_path: Path) -> None:
    file = written(tmp_path, "temprature = 0.5\n")
    assert complaint(file=file) == f"{file}: unknown setting 'temprature'; did you mean temperature?"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples: Input should be greater than or equal to 1"),
        ({"limit": 0}, "limit: Input should be greater than or equal to 1"),
        ({"temperature": -0.1}, "temperature: Input should be greater than or equal to 0"),
        ({"top_p": 0.0}, "top_p: Input should be greater than 0"),
        ({"top_p": 1.1}, "top_p: Input should be less than or equal to 1"),
        ({"timeout": 0}, "timeout: Input should be greater than 0"),
        ({"timeout": float("inf")}, "timeout: Input should be a finite number"),
        ({"temperature": float("nan")}, "temperature: Input should be a finite number"),
        ({"workers": -1}, "workers: Input should be greater than or equal to 0"),
        ({"network": "host"}, "network: Input should be 'bridge' or 'none'"),
        ({"memory": "lots"}, "memory: 'lots' is not a size; write it as 512m or 8g"),
        ({"seed": "x"}, "seed: Input should be a valid integer, unable to parse string as an integer"),
    ],
)
def test_a_bad_value_is_named_by_its_key_and_what_would_do(options: dict[str, Any], message: str) -> None:
    assert complaint(options=options) == message


def test_all_bad_values_are_named_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "samples = 0\nworkers = -1\n")
    assert complaint(file=file) == (
        f"{file}: samples: Input should be greater than or equal to 1; "
        "workers: Input should be greater than or equal to 0"
    )


@pytest.mark.parametrize("shard", ["1/1", "1/4", "4/4", ""])
def test_a_shard_is_a_number_of_a_count(shard: str) -> None:
    assert load_config(None, (), {"shard": shard}).shard == shard


@pytest.mark.parametrize("shard", ["0/4", "5/4", "1/0", "1", "1/", "/4", "a/b", "1/4/2", "-1/4", " 1/4"])
def test_anything_else_is_no_shard(shard: str) -> None:
    assert complaint(options={"shard": shard}) == "shard: a shard is i/n with 1 <= i <= n, such as 1/4"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", 512),
        ("512b", 512),
        ("64k", 64 * 2**10),
        ("512m", 512 * 2**20),
        ("8g", 8 * 2**30),
        ("8G", 8 * 2**30),
        ("8gb", 8 * 2**30),
        ("8GiB", 8 * 2**30),
        (" 8 g ", 8 * 2**30),
        ("1.5g", 3 * 2**29),
        ("2t", 2 * 2**40),
        ("none", None),
        ("None", None),
        ("0", None),
        ("", None),
    ],
)
def test_a_size_is_a_number_with_a_binary_unit_or_none(text: str, size: int | None) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["g", "8x", "-1g", "8 gigs", "1e3", "8g8"])
def test_what_is_no_size_is_quoted_in_the_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write it as 512m or 8g") as caught:
        parse_size(text)
    assert repr(text) in str(caught.value)


def test_a_file_that_is_not_there_or_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_config(tmp_path / "nowhere.toml")
    assert str(caught.value) == (
        f"cannot read the configuration {tmp_path / 'nowhere.toml'}: No such file or directory; "
        "presets are greedy-oracle, majority-20, swe-rl-500"
    )
    file = written(tmp_path, "samples = \n")
    with pytest.raises(InputError) as caught:
        load_config(file)
    assert str(caught.value).startswith(f"{file} is not valid TOML: ")
    file.write_bytes(b'model = "caf\xe9"\n')
    with pytest.raises(InputError) as caught:
        load_config(file)
    assert str(caught.value).startswith(f"{file} is not valid TOML: ")


NOT_IDENTITY = SPEED_ONLY | {"evaluate", "strict"}


def test_the_identity_leaves_out_what_only_decides_speed_and_place_or_only_adds_verdicts() -> None:
    assert set(RunConfig().identity()) == set(RunConfig.model_fields) - NOT_IDENTITY
    assert {key for key, kinds in BOUND_BY.items() if not kinds} == {"evaluate", "strict"}


def test_a_setting_of_a_table_leaves_the_rest_of_the_table_as_it_was() -> None:
    stored = {"model": "m", "engine": {"max_model_len": 8192, "gpu_memory_utilization": 0.95}, "samples": 4}
    assert merge_settings(stored, {"engine": {"gpu_memory_utilization": 0.8}, "samples": 8}) == {
        "model": "m",
        "engine": {"max_model_len": 8192, "gpu_memory_utilization": 0.8},
        "samples": 8,
    }


def test_a_run_that_ran_out_of_a_gpus_memory_is_resumed_with_less_of_it_or_on_more_gpus() -> None:
    first, second, other = (
        RunConfig(engine={"max_model_len": length, "gpu_memory_utilization": share, "tensor_parallel_size": gpus})
        for length, share, gpus in ((8192, 0.95, 1), (8192, 0.85, 4), (4096, 0.95, 1))
    )
    assert first.identity()["engine"] == {"max_model_len": 8192}
    assert first.default_run_id() == second.default_run_id() != other.default_run_id()
    assert {
        "workers", "requests", "results", "run_id", "cache", "base_url", "repositories", "submission", "disk", "reuse",
        "quarantine", "launch", "servers", "launch_timeout", "requests_per_server",
    } == SPEED_ONLY  # fmt: skip


OTHER_VALUES: dict[str, Any] = {
    "dataset": "lite", "split": "dev", "instances": ("x",), "repo": ("a/b",), "difficulty": ("easy",), "limit": 3,
    "shard": "1/2", "repositories": "mirrors", "sampler": "replay", "model": "m", "base_url": ("http://x",),
    "launch": "serve {model} {port}", "servers": 9, "launch_timeout": 9.0, "requests_per_server": 9,
    "answers": "a",
    "temperature": 0.5, "top_p": 0.5, "max_tokens": 9, "samples": 9, "localization": "oracle",
    "localization_samples": 9, "max_files": 9, "max_input_tokens": 9, "thinking": False, "prompts": "p", "seed": 9,
    "engine": {"dtype": "x"}, "request": {"stop": "x"}, "sandbox": "scripted", "timeout": 9.0, "memory": "9g",
    "cpus": 9.0, "pids": 9,
    "network": "none", "workers": 999, "requests": 9, "results": "r", "run_id": "r", "submission": {"name": "x"},
    "disk": "9g", "reuse": False, "quarantine": "q", "written": "9g", "strict": False, "stop_when_decided": True,
    "cache": "c", "tests": 9, "test_samples": 9, "test_model": "t", "regression": True, "evaluate": "all",
    "script_timeout": 9.0, "regression_files": 9, "regression_seconds": 9.0,
}  # fmt: skip


@pytest.mark.parametrize("key", RunConfig.model_fields)
def test_the_default_run_id_changes_with_a_setting_that_a_result_depends_on_and_with_no_other(key: str) -> None:
    changed = RunConfig(**{key: OTHER_VALUES[key]})
    assert getattr(changed, key) != getattr(RunConfig(), key)
    assert (changed.default_run_id() == RunConfig().default_run_id()) is (key in NOT_IDENTITY)


def test_the_default_run_id_is_the_same_in_every_process() -> None:
    settings = {"model": "org/My Model!", "dataset": "data/demo.parquet", "engine": {"b": 1, "a": 2}, "repo": ("x/y",)}
    program = f"from swerl_eval.config import RunConfig; print(RunConfig(**{settings!r}).default_run_id())"
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1")
    }
    assert found == {RunConfig(**settings).default_run_id()}


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


def test_predictions_carry_the_model_or_else_the_sampler() -> None:
    assert RunConfig(model="org/m").model_name == "org/m"
    assert RunConfig(sampler="gold").model_name == "gold"


def test_the_cache_is_the_setting_or_the_environments_or_the_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SWERL_EVAL_CACHE", str(tmp_path))
    assert RunConfig().cache_folder() == tmp_path
    assert RunConfig(cache="/elsewhere").cache_folder() == Path("/elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.delenv("SWERL_EVAL_CACHE")
    if sys.platform == "linux":
        assert RunConfig().cache_folder() == tmp_path / "user" / "swerl-eval"


def test_credentials_come_from_the_environment_and_the_setting_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert openai_credentials(()) == ("none", ())
    monkeypatch.setenv("OPENAI_API_KEY", "key-1")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://environment/v1")
    assert openai_credentials(()) == ("key-1", ("http://environment/v1",))
    assert openai_credentials(("http://setting/v1",)) == ("key-1", ("http://setting/v1",))
    monkeypatch.setenv("OPENAI_BASE_URL", "http://a/v1, http://b/v1")
    assert openai_credentials(())[1] == ("http://a/v1", "http://b/v1")


@pytest.mark.parametrize(
    "value",
    [
        "http://a/v1,http://b/v1",
        " http://a/v1, http://b/v1,",
        ["http://a/v1", "http://b/v1"],
        ("http://a/v1,http://b/v1",),
    ],
)
def test_addresses_of_servers_are_a_list_or_have_commas_between(value: object) -> None:
    assert load_config(None, (), {"base_url": value}).base_url == ("http://a/v1", "http://b/v1")


def test_no_address_takes_a_stored_one_back() -> None:
    assert load_config(None, (), {"base_url": [""]}).base_url == ()
    assert load_config(None, ["base_url="], {}).base_url == ()


@pytest.mark.parametrize("address", ["localhost:8000", "http://", "ftp://x/v1"])
def test_what_is_no_address_of_a_server_is_named(address: str) -> None:
    assert f"{address!r} is not the address of a server; write it as http://localhost:8000/v1" in complaint(
        options={"base_url": [address]}
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("request.n=4", "request.n: the run sets this itself; use --samples"),
        ("request.max_tokens=4", "request.max_tokens: the run sets this itself; use --max-tokens"),
        ("request.seed=4", "request.seed: the run sets this itself; use --seed"),
        ("request.model=x", "request.model: the run sets this itself; use --model"),
        ("request=4", "request: Input should be a valid dictionary"),
    ],
)
def test_what_the_run_sets_itself_cannot_be_sent_along(override: str, message: str) -> None:
    assert complaint(overrides=[override]) == message


def test_what_is_sent_along_is_part_of_the_runs_identity_and_only_for_servers() -> None:
    config = load_config(None, ["request.reasoning_effort=low", "request.chat_template_kwargs.enable_thinking=true"])
    assert config.request == {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": True}}
    assert config.identity()["request"] == config.request
    assert complaint(options={"request": {"stop": ["x"]}, "sampler": "vllm"}).endswith(
        "request is for servers; vLLM in this process takes engine.chat_template_kwargs"
    )
    assert load_config(None, ["request.stop=x"], {"sampler": "replay"}).request == {"stop": "x"}


def test_servers_are_launched_or_given_and_a_model_for_tests_needs_a_place_in_the_command() -> None:
    both = complaint(options={"launch": "serve {port}", "base_url": "http://x/v1"})
    assert "launch and base_url exclude each other" in both
    assert "launch needs {model}" in complaint(options={"launch": "serve {port}", "test_model": "t"})


def printed(config: RunConfig) -> str:
    with redirect_stdout(io.StringIO()) as output:
        print_config(config)
    return output.getvalue()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {**OTHER_VALUES, "launch": ""},
        {**OTHER_VALUES, "base_url": ()},
        {"model": 'a "quoted"\\name\twith\nlines and é, 漢, 🙂', "temperature": 1e-07, "timeout": 1e17},
        {"submission": {"name": "x", "os_model": True, "logo": ["a", "b"]}, "engine": {"seed": 1, "ratio": 0.5}},
    ],
)
def test_what_config_prints_is_read_back_to_the_same_settings(settings: dict[str, Any], tmp_path: Path) -> None:
    config = RunConfig(**settings)
    text = printed(config)
    assert load_config(written(tmp_path, text)) == config
    assert text.endswith(f"# the run's folder: {config.run_folder}\n")


@pytest.mark.parametrize("table", [{"hf_overrides": {"a": 1}}, {"odd key": 1}])
def test_tables_within_tables_and_odd_keys_are_read_back_too(table: dict[str, Any], tmp_path: Path) -> None:
    config = RunConfig(engine=table)
    assert load_config(written(tmp_path, printed(config))) == config


def test_a_configuration_cannot_be_changed_after_it_was_checked() -> None:
    with pytest.raises(ValueError, match="frozen"):
        RunConfig().samples = 0


@pytest.mark.parametrize("name", ["greedy-oracle", "majority-20", "swe-rl-500"])
def test_a_preset_is_a_configuration_by_name(name: str) -> None:
    config = load_config(Path(name))
    assert config.dataset == "verified"
    assert (config.samples, config.temperature, config.tests) == {
        "greedy-oracle": (1, 0.0, 0),
        "majority-20": (20, 0.6, 0),
        "swe-rl-500": (500, 1.0, 30),
    }[name]


def test_a_resume_with_one_engine_setting_keeps_the_others_of_the_run(tmp_path: Path) -> None:
    write_manifest(tmp_path, RunConfig(model="m", engine={"max_model_len": 8192, "gpu_memory_utilization": 0.95}))
    resumed = resolve({"results": str(tmp_path), "run_id": "r", "overrides": ["engine.gpu_memory_utilization=0.8"]})
    assert resumed.engine == {"max_model_len": 8192, "gpu_memory_utilization": 0.8}
    assert resumed.model == "m"


def write_manifest(results: Path, config: RunConfig) -> None:
    """The manifest of a run with these settings."""
    (results / "r").mkdir()
    manifest = RunManifest("r", config.model_dump(mode="json"), config.identity(), {}, "", {}, {}, "m", False, "")
    write_json(results / "r" / "run.json", dataclasses.asdict(manifest))
