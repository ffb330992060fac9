"""`swerl-eval reward`: computes the SWE-RL rewards of recorded answers."""

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
_BAR_WIDTH = 40


def reward_answers(answers: Path, oracles: Path | None, output: Path | None, workers: int, *, strict: bool) -> None:
    """Write the reward of each answer, in the order of the file, and a summary to standard error.

    Args:
        answers: JSONL with `output`, and with the oracle's columns unless `oracles` is given.
        oracles: JSONL with `code_context` and `oracle_new_content` by `instance_id`.
        output: File for the rewards. None: standard output.
        workers: Processes.
        strict: Also demand the last closing fence.

    Raises:
        InputError: A line is malformed; it is named before any work.
    """
    oracle_lines = {line["instance_id"]: line for _, line in _lines(oracles, "instance_id")} if oracles else {}
    # the answers are read twice: to name a bad line before any work, and without holding a large file in memory
    total = sum(1 for _ in _cases(answers, oracle_lines))
    values = []
    with ExitStack() as stack:
        target = stack.enter_context(output.open("wb")) if output else sys.stdout.buffer
        results = rewards(_cases(answers, oracle_lines), workers=workers, strict=strict)
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


def _cases(answers: Path, oracle_lines: dict[str, Line]) -> Iterator[RewardCase]:
    for place, line in _lines(answers, "output"):
        oracle = line
        if oracle_lines:
            if line.get("instance_id") not in oracle_lines:
                message = f"{place}: the oracle file has no instance {line.get('instance_id')!r}"
                raise InputError(message)
            oracle = oracle_lines[line["instance_id"]]
        context, new_content = (_files(oracle, column, place) for column in ("code_context", "oracle_new_content"))
        yield RewardCase(context, new_content, line["output"])


def _files(line: Line, column: str, place: str) -> dict[str, str]:
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
    highest = max(bins) or 1
    for number, count in enumerate(bins):
        bar = "█" * round(_BAR_WIDTH * count / highest)
        lines.append(f"{number / BINS:.1f} to {(number + 1) / BINS:.1f}  {count:>8}  {bar}")
    return lines
