"""The settings: their limits, and what follows from them and the environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.config import RunConfig, load_config, openai_credentials, parse_size
from tests.config.configs import complaint


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
        ({"prices": {"inputs": 1}}, "prices: 'inputs' is no price; there are input, cached_input, output, gpu_hour"),
        ({"prices": {"output": -0.5}}, "prices: output is negative: -0.5"),
        ({"prices": {"output": float("inf")}}, "prices.output: Input should be a finite number"),
        ({"seed": "x"}, "seed: Input should be a valid integer, unable to parse string as an integer"),
    ],
)
def test_a_bad_value_is_named_by_its_key_and_what_would_do(options: dict[str, Any], message: str) -> None:
    assert complaint(options=options) == message


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


def test_a_configuration_cannot_be_changed_after_it_was_checked() -> None:
    with pytest.raises(ValueError, match="frozen"):
        RunConfig().samples = 0


@pytest.mark.parametrize("key", RunConfig.model_fields)
def test_every_setting_has_a_description(key: str) -> None:
    assert RunConfig.model_fields[key].description
