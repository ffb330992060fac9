"""`swerl-eval compare`: sets runs side by side, instance by instance."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from swerl_eval.core.errors import UsageError
from swerl_eval.reports.comparison.build import Comparison, compare
from swerl_eval.reports.comparison.render import as_markdown, as_text
from swerl_eval.reports.comparison.sides import read_sides


def _as_json(comparison: Comparison) -> str:
    # escapes what is not ASCII: names of files can hold lone surrogates
    return json.dumps(comparison, indent=2) + "\n"


FORMATS: dict[str, Callable[[Comparison], str]] = {"text": as_text, "json": _as_json, "markdown": as_markdown}


def print_comparison(sides: Sequence[str], results: Path, form: str, seed: int, *, anyway: bool) -> None:
    """Compare runs and reports, and print the result.

    Args:
        sides: Names of runs below `results`, or paths.
        results: The folder of run folders.
        form: A key of `FORMATS`.
        seed: Seed of the bootstrap.
        anyway: Compare what they have in common where they were not measured alike.
    """
    if form not in FORMATS:
        message = f"--format {form}: choose {', '.join(FORMATS)}"
        raise UsageError(message)
    if len(sides) < 2:
        message = "there is nothing to compare with; name two sides or more, such as results/monday results/tuesday"
        raise UsageError(message)
    comparison = compare(read_sides(sides, results), seed, anyway=anyway)
    sys.stdout.write(FORMATS[form](comparison))
