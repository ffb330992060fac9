"""The environment variables that this package reads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import platformdirs

from swerl_eval.core.secrets import secrets_in


def cache_folder(setting: str) -> Path:
    """The folder of clones and verdicts: the setting, else SWERL_EVAL_CACHE, else the user's cache folder."""
    chosen = setting or os.environ.get("SWERL_EVAL_CACHE", "")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("swerl-eval")


def ray_address(setting: str) -> str:
    """The address of a Ray cluster: the setting, else RAY_ADDRESS; empty where there is none."""
    return setting or os.environ.get("RAY_ADDRESS", "").strip()


def writes_page() -> bool:
    """Whether a run ends with `report.html`: yes, unless SWERL_EVAL_PAGE is `no`."""
    return os.environ.get("SWERL_EVAL_PAGE", "").strip().lower() != "no"


def openai_credentials(base_urls: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """API key and addresses of OpenAI-compatible servers.

    Args:
        base_urls: The configured addresses. Empty: those of OPENAI_BASE_URL.

    Returns:
        OPENAI_API_KEY, or `none` where it is not set, because the client demands a key and most servers of one's own
        ignore it; and the addresses, empty for the client's default.
    """
    addresses = base_urls or tuple(split_addresses([os.environ.get("OPENAI_BASE_URL", "")]))
    return os.environ.get("OPENAI_API_KEY") or "none", addresses


def environment_secrets() -> frozenset[str]:
    """The secrets in this process's environment: the values of names such as HF_TOKEN, and those within addresses."""
    return secrets_in(dict(os.environ.items()))


def split_addresses(values: Iterable[Any]) -> list[Any]:
    """The comma-separated addresses in each text. Values that are not texts are kept, for pydantic to reject."""
    parts = [part for value in values for part in (value.split(",") if isinstance(value, str) else [value])]
    return [part.strip() if isinstance(part, str) else part for part in parts if part != ""]
