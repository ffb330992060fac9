"""What the table `engine` may hold; none of this needs vLLM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.core.errors import UsageError
from swerl_eval.samplers.vllm.engine_settings import RESTARTS, EngineSettings, Lora


def adapter(folder: Path, rank: object = 12) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    return str(folder)


def test_settings_of_vllm_are_handed_on_as_they_are() -> None:
    table = {"dtype": "float32", "tensor_parallel_size": 2, "data_parallel_size": 2}
    assert EngineSettings.read(table) == EngineSettings(table, None, {}, RESTARTS)


def test_our_own_settings_are_kept_from_vllm() -> None:
    table = {"dtype": "half", "restarts": 0, "chat_template_kwargs": {"enable_thinking": False}}
    read = EngineSettings.read(table)
    assert (read.arguments, read.restarts, read.template) == ({"dtype": "half"}, 0, {"enable_thinking": False})
    assert "restarts" in table, "the caller's table is left as it is"


def test_an_adapter_turns_lora_on_with_the_least_rank_that_holds_it(tmp_path: Path) -> None:
    path = adapter(tmp_path / "fixer")
    read = EngineSettings.read({"lora": path})
    assert read.lora == Lora("fixer", path)
    assert read.arguments == {"enable_lora": True, "max_lora_rank": 16}
    named = EngineSettings.read({"lora": {"path": path, "name": "mine"}, "max_lora_rank": 64})
    assert named.lora == Lora("mine", path)
    assert named.arguments["max_lora_rank"] == 64


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"lora": 3}, "engine.lora is an adapter's folder"),
        ({"lora": {"name": "x"}}, "engine.lora is an adapter's folder"),
        ({"lora": {"path": "x", "rank": 3}}, "engine.lora is an adapter's folder"),
        ({"lora": "/nowhere"}, "adapter_config.json cannot be read"),
        ({"restarts": -1}, "engine.restarts"),
        ({"restarts": "often"}, "engine.restarts"),
        ({"chat_template_kwargs": "thinking"}, "engine.chat_template_kwargs is a table"),
        ({"reasoning_parser": "qwen3"}, "engine.reasoning_parser is a server's: .* --reasoning-parser"),
    ],
)
def test_what_is_of_the_wrong_kind_is_named(table: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        EngineSettings.read(table)


def test_an_adapter_without_a_rank_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="adapter's rank"):
        EngineSettings.read({"lora": adapter(tmp_path, None)})
