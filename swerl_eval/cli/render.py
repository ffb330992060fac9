"""Reports as tables for a terminal. Names and reasons are data: never read as markup."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

MOST_ROWS = 100
"""Of the table; a run over a whole dataset has its rows in report.json."""
_STYLES = {"resolved": "green", "infra_error": "red", "missing": "red"}
RECORDED = "The answers were RECORDED, not sampled from a model: this shows the pipeline, not a model's skill."


def print_run(console: Console, report: dict[str, Any]) -> None:
    """The result table: instances, funnel, solve rate."""
    table = Table(title=Text(report["run_id"]), title_justify="left")
    by_tests = any("plain_vote" in row for row in report["instances"])
    for column in ("instance", "verdict", *(["plain vote"] if by_tests else []), "votes", "fixed", "kept"):
        table.add_column(column, no_wrap=True)
    for row in report["instances"][:MOST_ROWS]:
        table.add_row(*_cells(row, by_tests=by_tests))
    console.print(table)
    for row in report["instances"][:MOST_ROWS]:
        if row.get("reason"):
            console.print(Text(f"{row['instance_id']}: {row['reason']}"))
    if len(report["instances"]) > MOST_ROWS:
        console.print(Text(f"… and {len(report['instances']) - MOST_ROWS} more instances in report.json"))
    for line in summary_lines(report):
        console.print(Text(line))


def _cells(row: dict[str, Any], *, by_tests: bool) -> list[Text]:
    tests = row.get("tests", {})
    vote = row.get("plain_vote", {}).get("verdict", "")
    return [
        Text(row["instance_id"]),
        Text(row["verdict"], style=_STYLES.get(row["verdict"], "")),
        *([Text(vote, style=_STYLES.get(vote, ""))] if by_tests else []),
        Text(f"{row['votes']} of {row['valid']}" if row.get("votes") else ""),
        Text(tests.get("FAIL_TO_PASS", "")),
        Text(tests.get("PASS_TO_PASS", "")),
    ]


def summary_lines(report: dict[str, Any]) -> list[str]:
    """The figures below the table."""
    low, high = report["interval_95"]
    lines = [RECORDED] if report["recorded"] else []
    sampling, localization = report["sampling"], report["localization"]
    if localization is not None:
        lines.append(
            f"Localization ({localization['origin']}): "
            f"all gold files found in {localization['all_found']} of "
            f"{localization['instances']}, some in {localization['any_found']}, none in {localization['none_found']}; "
            f"mean coverage {100 * localization['mean_coverage']:.1f} %, "
            f"best {100 * localization['best_coverage']:.1f} %"
        )
    if sampling is not None:
        refused = ", ".join(f"{count} {kind}" for kind, count in sampling["rejections"].items())
        lines.append(
            f"Samples: {sampling['samples']}, of these {sampling['valid']} valid ({sampling['unique']} unique) for "
            f"{sampling['instances_with_candidate']} of {report['total']} instances"
            f"{'; rejected: ' + refused if refused else ''}"
        )
    tests = report.get("testing")
    if tests is not None:
        lines.append(
            f"Tests: {tests['scripts_used']} of {tests['scripts']} reproduction tests used, "
            f"{tests['regression_tests']} regression tests; {tests['candidates_run']} unique candidates run, "
            f"{tests['runs']} test runs, {tests['runs_saved']} saved"
        )
    rewards = report.get("rewards")
    if rewards is not None:
        told = rewards["resolved_auc"]
        auc = f"; it tells resolved from unresolved with AUC {told:.2f}" if told is not None else ""
        lines.append(
            f"SWE-RL reward: mean {rewards['mean']:.3f}, {rewards['format_errors']} of {rewards['count']} "
            f"with a format error{auc}"
        )
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in report["verdicts"].items() if count)
    lines.append(f"Verdicts: {verdicts}")
    lines.append(
        f"Solve rate: {report['resolved']}/{report['total']} = {100 * report['solve_rate']:.1f} % "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f})"
    )
    return lines
