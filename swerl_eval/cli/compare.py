"""`swerl-eval compare`: sets runs side by side, instance by instance."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from swerl_eval.core.errors import UsageError
from swerl_eval.records.atomic import write_bytes
from swerl_eval.reports.comparison.build import Comparison, compare
from swerl_eval.reports.comparison.page import comparison_page
from swerl_eval.reports.comparison.render import as_markdown, as_text
from swerl_eval.reports.comparison.sides import read_sides


def _as_json(comparison: Comparison) -> str:
    # escapes what is not ASCII: names of files can hold lone surrogates
    return json.dumps(comparison, indent=2) + "\n"


FORMATS: dict[str, Callable[[Comparison], str]] = {
    "text": as_text,
    "json": _as_json,
    "markdown": as_markdown,
    "html": comparison_page,
}


def comparison_text(sides: Sequence[str], results: Path, form: str, seed: int, *, anyway: bool) -> str:
    """Compare runs and reports, and return what is said of them.

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
    return FORMATS[form](compare(read_sides(sides, results), seed, anyway=anyway))


def put_out(text: str, file: Path | None) -> None:
    """Print a text, or write it to a file where one is named.

    Raises:
        UsageError: The file cannot be written.
    """
    if file is None:
        sys.stdout.write(text)
        return
    try:
        write_bytes(file, text.encode())
    except OSError as error:
        message = f"cannot write {file}: {error.strerror}; choose another --output"
        raise UsageError(message) from error
