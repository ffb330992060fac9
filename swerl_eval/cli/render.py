"""Reports as tables for a terminal. Names and reasons are data: never read as markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from swerl_eval.core.types import ModelUsage

MOST_ROWS = 100
"""Of the table; a run over a whole dataset has its rows in report.json."""
MOST_NAMES = 10
"""Of instances in one line."""
_STYLES = {"resolved": "green", "infra_error": "red", "missing": "red"}
RECORDED = "The answers were RECORDED, not sampled from a model: this shows the pipeline, not a model's skill."


def print_run(console: Console, report: dict[str, Any]) -> None:
    """The result table: instances, funnel, solve rate."""
    # without an outer edge it fits into 80 columns
    table = Table(title=Text(report["run_id"]), title_justify="left", show_edge=False)
    by_tests = any("plain_vote" in row for row in report["instances"])
    strict = report["strict"] is not None
    optional = [*(["strict"] if strict else []), *(["plain vote"] if by_tests else [])]
    for column in ("instance", "verdict", *optional, "votes", "fixed", "kept"):
        table.add_column(column, no_wrap=True)
    unsubmitted = set(report["without_prediction"])  # a line of their own below says which
    rows = [row for row in report["instances"] if row["instance_id"] not in unsubmitted]
    for row in rows[:MOST_ROWS]:
        table.add_row(*_cells(row, strict=strict, by_tests=by_tests))
    console.print(table)
    for row in rows[:MOST_ROWS]:
        for remark in _remarks(row):
            console.print(Text(f"{row['instance_id']}: {remark}"))
    if len(rows) > MOST_ROWS:
        console.print(Text(f"… and {len(rows) - MOST_ROWS} more instances in report.json"))
    for line in summary_lines(report):
        console.print(Text(line))


def _remarks(row: dict[str, Any]) -> list[str]:
    """What stands below the table on one instance."""
    remarks = [row["reason"]] if row.get("reason") else []
    strict = row.get("strict")
    if strict is not None and strict != row["verdict"]:
        remarks.append(f"{row['verdict']} officially, {strict} strictly: {row.get('strict_reason', '')}")
    remarks += [f"suspicious: {reason}" for reason in row.get("suspicious", [])]
    if "quarantined" in row:
        remarks.append(f"in quarantine: {row['quarantined']}")
    return remarks


def _strict_cell(row: dict[str, Any]) -> Text:
    """Whether the strict verdict bears out a resolved one; empty where there is nothing to bear out."""
    if row["verdict"] != "resolved":
        return Text("")
    word, style = {"resolved": ("yes", "green"), "unresolved": ("no", "red")}.get(str(row.get("strict")), ("?", "red"))
    return Text(word, style=style)


def _cells(row: dict[str, Any], *, strict: bool, by_tests: bool) -> list[Text]:
    tests = row.get("tests", {})
    vote = row.get("plain_vote", {}).get("verdict", "")
    return [
        Text(row["instance_id"]),
        Text(row["verdict"], style=_STYLES.get(row["verdict"], "")),
        *([_strict_cell(row)] if strict else []),
        *([Text(vote, style=_STYLES.get(vote, ""))] if by_tests else []),
        Text(f"{row['votes']} of {row['valid']}" if row.get("votes") else ""),
        Text(tests.get("FAIL_TO_PASS", "")),
        Text(tests.get("PASS_TO_PASS", "")),
    ]


def summary_lines(report: dict[str, Any]) -> list[str]:
    """The figures below the table."""
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
        rejected = ", ".join(f"{count} {kind}" for kind, count in sampling["rejections"].items())
        lines.append(
            f"Samples: {sampling['samples']}, of these {sampling['valid']} valid ({sampling['unique']} unique) for "
            f"{sampling['instances_with_candidate']} of {report['total']} instances"
            f"{'; rejected: ' + rejected if rejected else ''}"
        )
    lines += failed_answers_lines(report)
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
    absent = report["without_prediction"]
    if absent:
        more = f" and {len(absent) - MOST_NAMES} more (report.json)" if len(absent) > MOST_NAMES else ""
        lines.append(
            f"Missing: {len(absent)} of {report['total']} instances have no prediction and count as not solved: "
            f"{', '.join(absent[:MOST_NAMES])}{more}"
        )
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in report["verdicts"].items() if count)
    lines.append(f"Verdicts: {verdicts}")
    lines.append(f"Solve rate: {_rate(report)}")
    without = report["without_quarantined"]
    if without is not None:
        names = without["quarantined"]
        lines.append(f"Without {len(names)} in quarantine ({without['file']}): {_rate(without)}")
    return lines


def failed_answers_lines(report: dict[str, Any]) -> list[str]:
    """A line on the answers that never came, where there are some."""
    failed = report["failed_answers"]
    if failed is None:
        return []
    reason, count = next(iter(failed["reasons"].items()))
    asked = (
        f", {failed['refused']} of them refused (the same command asks for these again)" if failed["refused"] else ""
    )
    return [f"FAILED: {failed['count']} answers never came{asked}; {count} times: {reason}"]


def _rate(rates: dict[str, Any]) -> str:
    """The official figure with its denominator, then the strict one."""
    low, high = rates["interval_95"]
    strict = f"; strict: {rates['strict']['resolved']}/{rates['total']}" if rates["strict"] is not None else ""
    return (
        f"{rates['resolved']}/{rates['total']} = {100 * rates['solve_rate']:.1f} % "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f}){strict}"
    )


def usage_line(usage: Sequence[ModelUsage], resolved: int) -> str:
    """What was drawn from the model and what it took; empty where nothing was."""
    if not usage:
        return ""
    asked, written = (sum(getattr(each, name) for each in usage) for name in ("prompt_tokens", "completion_tokens"))
    seconds = sum(each.seconds for each in usage)
    words = [f"{asked:,} prompt tokens asked"]
    computed = [each.prompt_tokens_computed for each in usage if each.prompt_tokens_computed is not None]
    if len(computed) == len(usage):
        words.append(f"{sum(computed):,} computed, {max(0, asked - sum(computed)):,} reused")
    words.append(f"{written:,} output tokens ({written / max(seconds, 1e-9):,.0f}/s)")
    gpus = [each.gpus for each in usage if each.gpus is not None]
    if len(gpus) == len(usage):
        spent = sum(each.seconds * (each.gpus or 0) for each in usage)
        each_solved = f", {spent / resolved:,.0f} for each resolved issue" if resolved else ""
        words.append(f"{spent:,.0f} GPU-seconds{each_solved}")
    return f"Sampling: {'; '.join(words)}"
