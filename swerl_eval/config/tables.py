"""What the tables among the settings may hold."""

from __future__ import annotations

from typing import Any

TRACKING: dict[str, Any] = {
    "project": str,
    "entity": str,
    "group": str,
    "tags": str | list,
    "uri": str,
    "offline": bool,
}
"""The keys of `tracking`, with what each may be."""
PRICES = ("input", "cached_input", "output", "gpu_hour")
"""The keys of `prices`."""
SET_BY_THE_RUN = {
    "model": "use --model",
    "messages": "the prompts come from --prompts",
    "n": "use --samples",
    "temperature": "use --temperature",
    "top_p": "use -c top_p",
    "max_tokens": "use --max-tokens",
    "max_completion_tokens": "use --max-tokens",
    "seed": "use --seed",
    "stream": "it streams where the server does",
    "stream_options": "it asks for the counts of tokens",
}
"""Parameters that `request` may not name, and what to use instead."""


def tracking_fault(table: dict[str, Any]) -> str:
    """What is wrong with the table `tracking`; empty if nothing is."""
    for name, value in table.items():
        if name not in TRACKING and not isinstance(value, dict):
            return f"tracking.{name}: there are {', '.join(TRACKING)}, and tables by the names of trackers"
        if not isinstance(value, TRACKING.get(name, dict)):
            return f"tracking.{name} cannot be {value!r}"
    return ""
