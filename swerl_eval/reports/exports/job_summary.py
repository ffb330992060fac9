"""Exports a run as Markdown for a job summary of a CI: the result, the repositories, and what is not resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from swerl_eval.core.types import Verdict
from swerl_eval.records.atomic import write_bytes
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.comparison.names import code
from swerl_eval.reports.exports.claims import why_grading_only
from swerl_eval.reports.exports.destination import reserve_folder
from swerl_eval.reports.summary import Report, build_report

MOST_BYTES = 200_000
"""Size of the summary, at most. A step of GitHub's CI takes 1 MiB."""
_MOST_CHARACTERS = 200
"""Characters of a reason or name that are shown."""


class MarkdownExporter:
    """`swerl-eval export RUN --to markdown` (a `ports.Exporter`)."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write `summary.md` below `destination`."""
        opened = Run(run)
        target = destination / "summary.md"
        reserve_folder(destination, opened, [target.name])
        write_bytes(target, job_summary(opened, build_report(opened)).encode())
        return [target]


def job_summary(run: Run, report: Report) -> str:
    """The summary. Every name and reason is a code span: nothing in it is markup."""
    warning = why_grading_only(run.manifest)
    head = [
        f"# {_cell(report['model'])} on {_cell(str(report['dataset']))}",
        *([f"> **Only the grading is claimed here:** {warning}."] if warning else []),
        _headline(report),
        _counts(report),
        f"Run {_cell(report['run_id'])}, dataset {_cell(report['dataset_fingerprint'][:16])}, "
        + ", ".join(_cell(f"{name} {version}") for name, version in report["versions"].items()),
    ]
    repositories = [
        [_cell(row["name"]), str(row["total"]), str(row["resolved"]), f"{100 * row['solve_rate']:.1f} %"]
        for row in report["groups"]["repository"]
    ]
    others = [row for row in report["instances"] if row["verdict"] != Verdict.RESOLVED.value]
    text = "\n\n".join(filter(None, head)) + "\n"
    text += _table("By repository", ["repository", "instances", "resolved", "rate"], repositories, MOST_BYTES // 4)
    rows = ([_cell(row["instance_id"]), row["verdict"], _cell(_reason(row))] for row in others)
    left = MOST_BYTES - len(text.encode())
    return text + _table(f"Not resolved: {len(others)}", ["instance", "verdict", "reason"], rows, left)


def _reason(row: Mapping[str, Any]) -> str:
    """Why an instance is not resolved: how many tests pass, and what else is said about it."""
    counts = ", ".join(f"{kind} {count}" for kind, count in row.get("tests", {}).items())
    return "; ".join(filter(None, (counts, row.get("reason"))))


def _headline(report: Report) -> str:
    low, high = report["interval_95"]
    strict = report["strict"]
    strict_text = (
        f" By the strict verdict: {100 * strict['solve_rate']:.1f} % ({strict['resolved']})." if strict else ""
    )
    return (
        f"**{100 * report['solve_rate']:.1f} %** of {report['total']} instances resolved ({report['resolved']}; 95 % "
        f"interval {100 * low:.1f} to {100 * high:.1f} %).{strict_text}"
    )


def _counts(report: Report) -> str:
    """How many instances have each verdict, and whether the run is complete."""
    counts = ", ".join(f"{verdict} {count}" for verdict, count in report["verdicts"].items() if count)
    return counts if report["complete"] else f"**The run is not complete.** {counts}"


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], most_bytes: int) -> str:
    """A table with its title, cut at a number of bytes; nothing without rows."""
    lines = [f"\n## {title}\n", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    size, cut, full = sum(len(line.encode()) + 1 for line in lines), 0, len(lines)
    for row in rows:
        line = f"| {' | '.join(row)} |"
        size += len(line.encode()) + 1
        if size > most_bytes - _MOST_CHARACTERS:
            cut += 1
        else:
            lines.append(line)
    if len(lines) == full and not cut:
        return ""
    return "\n".join([*lines, *([f"\n{cut} more are left out here."] if cut else []), ""])


def _cell(text: str) -> str:
    """A name or reason, cut, as a code span; nothing for nothing."""
    shown = text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
    return code(shown) if shown else ""
