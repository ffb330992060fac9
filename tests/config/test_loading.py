"""Files, presets and `-c key=value`."""

from __future__ import annotations

from pathlib import Path

import pytest

from swerl_eval.config import load_config, merge_settings
from swerl_eval.core.errors import InputError
from tests.config.configs import complaint, written


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


def test_all_bad_values_are_named_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "samples = 0\nworkers = -1\n")
    assert complaint(file=file) == (
        f"{file}: samples: Input should be greater than or equal to 1; "
        "workers: Input should be greater than or equal to 0"
    )


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


def test_a_setting_of_a_table_leaves_the_rest_of_the_table_as_it_was() -> None:
    stored = {"model": "m", "engine": {"max_model_len": 8192, "gpu_memory_utilization": 0.95}, "samples": 4}
    assert merge_settings(stored, {"engine": {"gpu_memory_utilization": 0.8}, "samples": 8}) == {
        "model": "m",
        "engine": {"max_model_len": 8192, "gpu_memory_utilization": 0.8},
        "samples": 8,
    }


@pytest.mark.parametrize("name", ["greedy-oracle", "majority-20", "swe-rl-500"])
def test_a_preset_is_a_configuration_by_name(name: str) -> None:
    config = load_config(Path(name))
    assert config.dataset == "verified"
    assert (config.samples, config.temperature, config.tests) == {
        "greedy-oracle": (1, 0.0, 0),
        "majority-20": (20, 0.6, 0),
        "swe-rl-500": (500, 1.0, 30),
    }[name]


@pytest.mark.parametrize(("word", "value"), [("on", True), ("off", False), ("true", True), ("false", False)])
@pytest.mark.parametrize("key", ["strict", "regression"])
def test_on_and_off_are_read_as_booleans_in_files_and_overrides(
    key: str, word: str, value: bool, tmp_path: Path
) -> None:
    assert getattr(load_config(None, [f"{key}={word}"]), key) is value
    assert getattr(load_config(written(tmp_path, f'{key} = "{word}"\n')), key) is value
