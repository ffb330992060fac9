"""Read the configuration's table `engine` into vLLM's arguments, and import vLLM's modules when they are needed."""

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
"""Restarts in one run, unless `engine.restarts` says otherwise."""
STREAM_INTERVAL = 8
"""Tokens in one output of the engine: 47 us of this process a token instead of 63 (benchmarks/sampling.py), and often
enough for a display."""
_LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values that vLLM takes for `max_lora_rank`."""
_SECRETS = (
    re.compile(r"()\b(?:hf|sk|ghp)[-_][\w-]{8,}"),
    re.compile(r"(://)[^/\s@]+(?=@)"),
    re.compile(r"(?i)(bearer |(?:token|api[_-]?key|secret|passw(?:or)?d)\b[\"']?\s*[=:]\s*[\"']?)[^\s\"',;)]+"),
)
"""Tokens with a known prefix; user and password of an address; values that are named like a secret."""


@dataclass(frozen=True)
class Lora:
    """A LoRA adapter, used for every request."""

    name: str
    path: str


@dataclass(frozen=True)
class EngineSettings:
    """The configuration's table `engine`: vLLM's settings, and this package's."""

    arguments: Mapping[str, Any]
    """vLLM's settings, by the names of `AsyncEngineArgs`."""
    lora: Lora | None = None
    """From `lora`: a folder, or a table with `path` and `name`."""
    template: Mapping[str, Any] = field(default_factory=dict)
    """From `chat_template_kwargs`: arguments of the chat template, such as `enable_thinking`."""
    restarts: int = RESTARTS
    """From `restarts`: how often a dead engine is started again."""

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> EngineSettings:
        """Read the table. Raises `UsageError` for a value that is wrong; vLLM checks its own settings at its start."""
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
    """Return the smallest `max_lora_rank` that the adapter fits in."""
    file = Path(lora.path) / "adapter_config.json"
    try:
        rank = int(json.loads(file.read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"engine.lora: {file} cannot be read for the adapter's rank: {reason(error)}"
        raise UsageError(message) from error
    return next((allowed for allowed in _LORA_RANKS if allowed >= rank), rank)


def engine_arguments(model: str, settings: Mapping[str, Any]) -> Any:
    """Return vLLM's `AsyncEngineArgs` for these settings. Raises `UsageError` for one that vLLM does not have."""
    arguments = imported("vllm.engine.arg_utils").AsyncEngineArgs
    known = [item.name for item in fields(arguments) if item.name != "model"]
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; it takes what AsyncEngineArgs of vLLM has"
            message = f"engine.{name} is no setting of vLLM's engine{hint}"
            raise UsageError(message)
    defaults = {"stream_interval": STREAM_INTERVAL, "scheduling_policy": "priority"}
    return arguments(model=model, **{name: value for name, value in defaults.items() if name in known} | dict(settings))


def imported(module: str) -> ModuleType:
    """Import a module of vLLM, or of what comes with it, which takes seconds. Raises `UsageError` if that fails."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # not only ImportError: a torchvision of another build raises RuntimeError
        message = f"{module} cannot be imported: {reason(error)}; install vLLM with {INSTALL}"
        raise UsageError(message) from error


def installed() -> bool:
    """Whether vLLM is installed. Does not import it."""
    return importlib.util.find_spec("vllm") is not None


def refusal(model: str, arguments: Mapping[str, Any]) -> str:
    """Ask vLLM's own checks, before anything is loaded, why it would not start; empty if it would.

    Hides vLLM's log messages. Raises `UsageError` for a setting that vLLM does not have.
    """
    imported("vllm")  # sets up its logger
    logging.getLogger("vllm").setLevel(logging.ERROR)
    try:
        engine_arguments(model, arguments).create_engine_config()
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - any error of vLLM's checks is a reason
        return reason(error)
    return ""


def reason(error: BaseException) -> str:
    """Return an error's message on one line, without secrets; of a failed validation, each setting and its fault."""
    faults = error.errors() if isinstance(error, ValidationError) else []
    text = "; ".join(": ".join([*map(str, fault["loc"][:1]), fault["msg"]]) for fault in faults)
    return without_secrets(" ".join((text or f"{type(error).__name__}: {error}").split()))[:500]


def without_secrets(text: str) -> str:
    """Replace tokens, keys and passwords, as far as their usual forms tell, with `***`."""
    for form in _SECRETS:
        text = form.sub(r"\1***", text)
    return text
