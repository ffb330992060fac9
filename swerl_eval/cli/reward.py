"""`swerl-eval reward`: rewards of recorded answers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import jsonlines
import orjson
from rich.console import Console
from rich.progress import track

from swerl_eval.core.errors import InputError, UsageError
from swerl_eval.integrations.batch import RewardCase, rewards
from swerl_eval.integrations.columns import files
from swerl_eval.reports.reward_figures import BINS, summarize

Line = dict[str, Any]
_BAR = 40


def reward_answers(answers: Path, oracles: Path | None, output: Path | None, workers: int, *, strict: bool) -> None:
    """Rewards of a file of answers, in order, to `output` or standard output; the summary to standard error."""
    known = {line["instance_id"]: line for line in _lines(oracles, "instance_id")} if oracles else {}
    # read twice: once so that a bad line is named before any work, once so that a large file is never held
    total = sum(1 for _ in _cases(answers, known))
    values = []
    with ExitStack() as stack:
        target = stack.enter_context(output.open("wb")) if output else sys.stdout.buffer
        found = rewards((case for _, case in _cases(answers, known)), workers=workers, strict=strict)
        console = Console(stderr=True)
        pairs = zip(_lines(answers, "output"), found, strict=True)
        for line, result in track(pairs, "rewards", total, console=console, transient=True):
            values.append(result.value)
            _write(target, line, result.value, result.error)
    for text in _summary(summarize(values)):
        sys.stderr.write(text + "\n")


def _write(target: BinaryIO, line: Line, value: float, error: str | None) -> None:
    row: Line = {"instance_id": line["instance_id"]} if "instance_id" in line else {}
    row |= {"reward": value} if error is None else {"reward": value, "error": error}
    target.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


def _cases(answers: Path, known: dict[str, Line]) -> Iterator[tuple[int, RewardCase]]:
    for number, line in enumerate(_lines(answers, "output"), start=1):
        source = line
        if known:
            if line.get("instance_id") not in known:
                message = f"{answers}, answer {number}: the oracle file has no instance {line.get('instance_id')!r}"
                raise InputError(message)
            source = known[line["instance_id"]]
        where = f"{answers}, answer {number}"
        yield (
            number,
            RewardCase(
                _texts(source, "code_context", where), _texts(source, "oracle_new_content", where), line["output"]
            ),
        )


def _texts(line: Line, column: str, where: str) -> dict[str, str]:
    try:
        return files(line.get(column))
    except ValueError as error:
        message = f"{where}: {column}: {error}; or pass --oracle FILE, which has it by instance_id"
        raise InputError(message) from error


def _lines(path: Path, needed: str) -> Iterator[Line]:
    if not path.is_file():
        message = f"there is no file {path}"
        raise UsageError(message)
    try:
        with jsonlines.open(path, loads=orjson.loads) as reader:
            for number, line in enumerate(reader.iter(type=dict, skip_empty=True), start=1):
                if not isinstance(line.get(needed), str):
                    message = f"{path}, object {number}: {needed} must be a text"
                    raise InputError(message)
                yield line
    except jsonlines.InvalidLineError as error:
        message = f"{path}, line {error.lineno}: {str(error).splitlines()[0]}"
        raise InputError(message) from error


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
