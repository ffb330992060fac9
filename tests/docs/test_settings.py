"""docs/settings.md lists every setting with its default."""

from __future__ import annotations

import json
import re
from typing import Any

from swerl_eval.config import RunConfig
from tests.docs.pages import ROOT

ROW = re.compile(r"^\| `(\w+)` \| (`.*?`|not set) \| (.+) \|$", re.MULTILINE)


def documented() -> dict[str, str]:
    """Each setting's default as the page prints it."""
    rows = ROW.findall((ROOT / "docs/settings.md").read_text("utf-8"))
    assert len({name for name, _, _ in rows}) == len(rows), "a setting is listed twice"
    return {name: default.strip("`") for name, default, meaning in rows if meaning.strip()}


def printed(value: Any) -> str:
    """A default as TOML has it."""
    if value is None:
        return "not set"
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def test_every_setting_is_listed_with_its_default() -> None:
    fields = RunConfig.model_fields
    defaults = {name: printed(field.get_default(call_default_factory=True)) for name, field in fields.items()}
    assert documented() == defaults
