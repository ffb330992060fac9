"""`swerl-eval reward`: rewards of recorded answers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from rich.console import Console
from rich.progress import track

from swerl_eval.core.errors import InputError
from swerl_eval.integrations.batch import RewardCase, rewards
from swerl_eval.integrations.columns import files
from swerl_eval.records.json_files import Entry, malformed, read_lines
from swerl_eval.reports.reward_figures import BINS, summarize

Line = dict[str, Any]
_BAR = 40


def reward_answers(answers: Path, oracles: Path | None, output: Path | None, workers: int, *, strict: bool) -> None:
    """Write the rewards of a file of answers, in order, to `output` or standard output.

    The summary goes to standard error.
    """
    by_instance = {line["instance_id"]: line for _, line in _lines(oracles, "instance_id")} if oracles else {}
    # read twice: once so that a bad line is named before any work, once so that a large file is never held
    total = sum(1 for _ in _cases(answers, by_instance))
    values = []
    with ExitStack() as stack:
        target = stack.enter_context(output.open("wb")) if output else sys.stdout.buffer
        results = rewards(_cases(answers, by_instance), workers=workers, strict=strict)
        console = Console(stderr=True)
        pairs = zip(_lines(answers, "output"), results, strict=True)
        for (_, line), result in track(pairs, "rewards", total, console=console, transient=True):
            values.append(result.value)
            _write(target, line, result.value, result.error)
    for text in _summary(summarize(values)):
        sys.stderr.write(text + "\n")


def _write(target: BinaryIO, line: Line, value: float, error: str | None) -> None:
    row: Line = {"instance_id": line["instance_id"]} if "instance_id" in line else {}
    row |= {"reward": value} if error is None else {"reward": value, "error": error}
    target.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


def _cases(answers: Path, by_instance: dict[str, Line]) -> Iterator[RewardCase]:
    for place, line in _lines(answers, "output"):
        source = line
        if by_instance:
            if line.get("instance_id") not in by_instance:
                message = f"{place}: the oracle file has no instance {line.get('instance_id')!r}"
                raise InputError(message)
            source = by_instance[line["instance_id"]]
        context, oracle = (_texts(source, column, place) for column in ("code_context", "oracle_new_content"))
        yield RewardCase(context, oracle, line["output"])


def _texts(line: Line, column: str, place: str) -> dict[str, str]:
    try:
        return files(line.get(column))
    except ValueError as error:
        raise malformed(
            place, f"{column}: {error}", "correct it, or pass --oracle FILE, which has it by instance_id"
        ) from error


def _lines(path: Path, column: str) -> Iterator[Entry]:
    """Yield the lines of a file with their places; `column` has to be a text."""
    for place, line in read_lines(path):
        if not isinstance(line.get(column), str):
            raise malformed(place, f"{column} must be a text")
        yield place, line


def _summary(figures: dict[str, Any]) -> list[str]:
    if not figures["count"]:
        return ["no answers"]
    lines = [
        f"{figures['count']} answers: mean reward {figures['mean']:.4f}, "
        f"{figures['format_errors']} format errors ({100 * figures['format_error_rate']:.1f} %)"
    ]
    bins = figures["histogram"]["bins"]
    most = max(bins) or 1
    for number, count in enumerate(bins):
        bar = "█" * round(_BAR * count / most)
        lines.append(f"{number / BINS:.1f} to {(number + 1) / BINS:.1f}  {count:>8}  {bar}")
    return lines
