"""`swerl-eval leaderboard`: the runs of a folder, the best first."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swerl_eval.core.errors import UsageError
from swerl_eval.records.atomic import write_json
from swerl_eval.reports.comparison.names import printable
from swerl_eval.reports.exports.checking import check
from swerl_eval.reports.exports.schemas import RunLeaderboard
from swerl_eval.reports.leaderboard.build import build_leaderboard


def print_leaderboard(root: Path, output: Path | None, depth: int) -> None:
    """Print the runs below a folder as a table, and write them to a file if one is given.

    Folders that cannot be read are named on standard error.

    Raises:
        UsageError: There is no such folder, or the file cannot be written.
    """
    content = check(RunLeaderboard, build_leaderboard(root, depth), "leaderboard.json")
    for skipped in content["skipped"]:
        sys.stderr.write(f"{printable(skipped['folder'])} is skipped: {printable(skipped['reason'])}\n")
    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            write_json(output, content)
        except OSError as error:
            message = f"cannot write {output}: {error.strerror}; choose another --output"
            raise UsageError(message) from error
    sys.stdout.write("".join(f"{line}\n" for line in _table(content["rows"])) or f"no runs below {root}\n")


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the rows as aligned text, below a head; nothing for no rows."""
    if not rows:
        return []
    cells = [("run", "resolved", "solve rate", "95 % interval", "strict", "model", "remarks"), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    low, high = row["interval_95"]
    strict = row["strictly_resolved"]
    remarks = {
        "INCOMPLETE": not row["complete"],
        "GOLD patches": row["patches"] == "gold",
        "patches handed in": row["patches"] == "handed in",
        "RECORDED answers": row["recorded"] and row["patches"] != "gold",
    }
    return (
        printable(row["name"]),
        f"{row['resolved']}/{row['total']}",
        f"{100 * row['solve_rate']:.1f} %",
        f"{100 * low:.1f} to {100 * high:.1f}",
        "" if strict is None else str(strict),
        printable(row["model"]),
        ", ".join(words for words, said in remarks.items() if said),
    )
