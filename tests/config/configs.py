"""What the tests of the configuration share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swerl_eval.config import load_config
from swerl_eval.core.errors import UsageError


def written(folder: Path, text: str) -> Path:
    file = folder / "settings.toml"
    file.write_text(text, encoding="utf-8")
    return file


def complaint(**arguments: Any) -> str:
    with pytest.raises(UsageError) as caught:
        load_config(**arguments)
    return str(caught.value)


OTHER_VALUES: dict[str, Any] = {
    "dataset": "lite", "split": "dev", "instances": ("x",), "repo": ("a/b",), "difficulty": ("easy",), "limit": 3,
    "shard": "1/2", "repositories": "mirrors", "sampler": "replay", "model": "m", "base_url": ("http://x",),
    "launch": "serve {model} {port}", "servers": 9, "launch_timeout": 9.0, "requests_per_server": 9,
    "ray_address": "head:6379",
    "answers": "a",
    "temperature": 0.5, "top_p": 0.5, "max_tokens": 9, "samples": 9, "localization": "oracle",
    "localization_samples": 9, "max_files": 9, "max_input_tokens": 9, "thinking": False, "prompts": "p", "seed": 9,
    "engine": {"dtype": "x"}, "request": {"stop": "x"}, "sandbox": "scripted", "timeout": 9.0, "memory": "9g",
    "cpus": 9.0, "pids": 9,
    "network": "none", "workers": 999, "requests": 9, "results": "r", "run_id": "r", "submission": {"name": "x"},
    "disk": "9g", "reuse": False, "quarantine": "q", "written": "9g", "strict": False, "stop_when_decided": True,
    "cache": "c", "prices": {"output": 9.0}, "tests": 9, "test_samples": 9, "test_model": "t", "regression": True,
    "evaluate": "all", "tracker": ("jsonl",), "tracking": {"project": "p"},
    "script_timeout": 9.0, "regression_files": 9, "regression_seconds": 9.0,
}  # fmt: skip
