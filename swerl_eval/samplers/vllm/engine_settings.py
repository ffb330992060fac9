"""The configuration's table `engine`, as vLLM takes it, and vLLM's modules, imported when they are needed."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from swerl_eval.core.errors import UsageError

INSTALL = "pip install 'swerl-eval[vllm]'"
RESTARTS = 3
"""Engines started anew in one run, unless `engine.restarts` says otherwise."""

STREAM_INTERVAL = 8
"""Tokens that come at a time: 47 instead of 63 us of this process a token (benchmarks/sampling.py), and often enough
for a display."""
_LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes for `max_lora_rank`."""


_SECRETS = tuple(
    map(
        re.compile,
        (
            r"()\b(?:hf|sk|ghp)[-_][\w-]{8,}",
            r"(://)[^/\s@]+(?=@)",
            r"(?i)(bearer |(?:token|api[_-]?key|secret|passw(?:or)?d)\b[\"']?\s*[=:]\s*[\"']?)[^\s\"',;)]+",
        ),
    )
)
"""Tokens that show what they are, user and password of an address, what is named like a secret."""


@dataclass(frozen=True)
class Lora:
    """An adapter that every request is answered with."""

    name: str
    path: str


@dataclass(frozen=True)
class EngineSettings:
    """The configuration's table `engine`: vLLM's own settings, and ours beside them."""

    arguments: Mapping[str, Any]
    """By the names of vLLM's `AsyncEngineArgs`."""
    lora: Lora | None = None
    """From `lora`: a folder, or a table of `path` and `name`."""
    template: Mapping[str, Any] = field(default_factory=dict)
    """From `chat_template_kwargs`: what the chat template is told, such as `enable_thinking`."""
    restarts: int = RESTARTS
    """From `restarts`."""

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> EngineSettings:
        """Raises `UsageError` for a value of ours that is of the wrong kind; vLLM's are seen at the start."""
        arguments = dict(table)
        adapter = arguments.pop("lora", None)
        template = arguments.pop("chat_template_kwargs", {})
        if "reasoning_parser" in arguments:
            message = (
                "engine.reasoning_parser is a server's: here <think> tags are read from the answer itself; for other "
                "marks --sampler openai --launch 'vllm serve … --reasoning-parser …'"
            )
            raise UsageError(message)
        restarts = arguments.pop("restarts", RESTARTS)
        if not isinstance(template, Mapping):
            message = "engine.chat_template_kwargs is a table: -c engine.chat_template_kwargs.enable_thinking=true"
            raise UsageError(message)
        if not isinstance(restarts, int) or restarts < 0:
            message = f"engine.restarts is a number of restarts from 0 on, not {restarts!r}"
            raise UsageError(message)
        lora = None if adapter is None else _lora(adapter)
        if lora is not None:
            arguments = {"enable_lora": True, "max_lora_rank": _rank(lora)} | arguments
        return cls(arguments, lora, template, restarts)


def _lora(adapter: Any) -> Lora:
    table = {"path": adapter} if isinstance(adapter, str) else adapter
    path = table.get("path") if isinstance(table, Mapping) else None
    if not isinstance(path, str) or set(table) - {"path", "name"}:
        message = f"engine.lora is an adapter's folder, or a table of path and name, not {adapter!r}"
        raise UsageError(message)
    return Lora(str(table.get("name") or Path(path).name), path)


def _rank(lora: Lora) -> int:
    """The least that vLLM takes and the adapter fits in."""
    file = Path(lora.path) / "adapter_config.json"
    try:
        rank = int(json.loads(file.read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"engine.lora: {file} cannot be read for the adapter's rank: {reason(error)}"
        raise UsageError(message) from error
    return next((taken for taken in _LORA_RANKS if taken >= rank), rank)


def engine_arguments(model: str, settings: Mapping[str, Any]) -> Any:
    """vLLM's `AsyncEngineArgs` for these settings. Raises `UsageError` for one that it does not have."""
    kind = imported("vllm.engine.arg_utils").AsyncEngineArgs
    known = [item.name for item in fields(kind) if item.name != "model"]
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; it takes what AsyncEngineArgs of vLLM has"
            message = f"engine.{name} is no setting of vLLM's engine{hint}"
            raise UsageError(message)
    ours = {"stream_interval": STREAM_INTERVAL, "scheduling_policy": "priority"}
    return kind(model=model, **{name: value for name, value in ours.items() if name in known} | dict(settings))


def imported(module: str) -> ModuleType:
    """A module of vLLM or of what comes with it, imported on first use: it takes seconds."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # a torchvision of another build, say, is a RuntimeError
        message = f"{module} cannot be imported: {reason(error)}; install vLLM with {INSTALL}"
        raise UsageError(message) from error


def installed() -> bool:
    """Whether there is a vLLM at all, without importing it."""
    return importlib.util.find_spec("vllm") is not None


def refusal(model: str, arguments: Mapping[str, Any]) -> str:
    """Why vLLM would not start with its own settings, by its own checks, before it loads anything; else nothing.

    Raises `UsageError` for a setting that it does not have. Its own news are not shown.
    """
    imported("vllm")  # which sets up its logger
    logging.getLogger("vllm").setLevel(logging.ERROR)
    try:
        engine_arguments(model, arguments).create_engine_config()
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a check of vLLM's raises is its answer
        return reason(error)
    return ""


def reason(error: BaseException) -> str:
    """On one line; vLLM's go over many, and those of its checks name each fault beside much else."""
    faults = error.errors() if isinstance(error, ValidationError) else []
    told = "; ".join(": ".join([*map(str, fault["loc"][:1]), fault["msg"]]) for fault in faults)
    return without_secrets(" ".join((told or f"{type(error).__name__}: {error}").split()))[:500]


def without_secrets(text: str) -> str:
    """Tokens, keys and passwords blotted out, by their usual forms."""
    for form in _SECRETS:
        text = form.sub(r"\1***", text)
    return text
