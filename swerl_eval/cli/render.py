"""Reports as tables for a terminal. Names and reasons are data: never read as markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from swerl_eval.core.types import ModelUsage
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.test_figures import seconds_per_candidate

MOST_ROWS = 100
"""Rows of the table, at most; report.json has all of them."""
MOST_NAMES = 10
"""Instances named in one line, at most."""
_STYLES = {"resolved": "green", "infra_error": "red", "missing": "red"}
RECORDED = "The answers were RECORDED, not sampled from a model: this shows the pipeline, not a model's skill."


def print_run(console: Console, report: dict[str, Any]) -> None:
    """Print a report: the table of instances, remarks on them, and the figures."""
    # without an outer edge the table fits into 80 columns
    table = Table(title=Text(report["run_id"]), title_justify="left", show_edge=False)
    by_tests = any("plain_vote" in row for row in report["instances"])
    strict = report["strict"] is not None
    optional = [*(["strict"] if strict else []), *(["plain vote"] if by_tests else [])]
    for column in ("instance", "verdict", *optional, "votes", "fixed", "kept"):
        table.add_column(column, no_wrap=True)
    without_prediction = set(report["without_prediction"])  # the figures below name them
    rows = [row for row in report["instances"] if row["instance_id"] not in without_prediction]
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
    """The remarks on one instance, for below the table."""
    remarks = [row["reason"]] if row.get("reason") else []
    strict = row.get("strict")
    if strict is not None and strict != row["verdict"]:
        remarks.append(f"{row['verdict']} officially, {strict} strictly: {row.get('strict_reason', '')}")
    remarks += [f"suspicious: {reason}" for reason in row.get("suspicious", [])]
    if "quarantined" in row:
        remarks.append(f"in quarantine: {row['quarantined']}")
    return remarks


def _strict_cell(row: dict[str, Any]) -> Text:
    """Whether the strict verdict confirms a resolved one; empty for other verdicts."""
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
        auc = rewards["resolved_auc"]
        separation = f"; it tells resolved from unresolved with AUC {auc:.2f}" if auc is not None else ""
        lines.append(
            f"SWE-RL reward: mean {rewards['mean']:.3f}, {rewards['format_errors']} of {rewards['count']} "
            f"with a format error{separation}"
        )
    missing = report["without_prediction"]
    if missing:
        more = f" and {len(missing) - MOST_NAMES} more (report.json)" if len(missing) > MOST_NAMES else ""
        lines.append(
            f"Missing: {len(missing)} of {report['total']} instances have no prediction and count as not solved: "
            f"{', '.join(missing[:MOST_NAMES])}{more}"
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
    """A line on the answers that never came; no line where all came."""
    failed = report["failed_answers"]
    if failed is None:
        return []
    reason, count = next(iter(failed["reasons"].items()))
    refused = (
        f", {failed['refused']} of them refused (the same command asks for these again)" if failed["refused"] else ""
    )
    return [f"FAILED: {failed['count']} answers never came{refused}; {count} times: {reason}"]


def _rate(rates: dict[str, Any]) -> str:
    """The official solve rate with its denominator and interval, then the strict one."""
    low, high = rates["interval_95"]
    strict = f"; strict: {rates['strict']['resolved']}/{rates['total']}" if rates["strict"] is not None else ""
    return (
        f"{rates['resolved']}/{rates['total']} = {100 * rates['solve_rate']:.1f} % "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f}){strict}"
    )


def usage_line(usage: Sequence[ModelUsage], resolved: int) -> str:
    """Tokens and GPU time of a run's processes; empty where none sampled. Figures that a process lacks are left out."""
    if not usage:
        return ""
    prompt_tokens = sum(process.prompt_tokens for process in usage)
    output_tokens = sum(process.completion_tokens for process in usage)
    seconds = sum(process.seconds for process in usage)
    figures = [f"{prompt_tokens:,} prompt tokens asked"]
    computed = [process.prompt_tokens_computed for process in usage if process.prompt_tokens_computed is not None]
    if len(computed) == len(usage):
        figures.append(f"{sum(computed):,} computed, {max(0, prompt_tokens - sum(computed)):,} reused")
    figures.append(f"{output_tokens:,} output tokens ({output_tokens / max(seconds, 1e-9):,.0f}/s)")
    gpu_seconds = [process.seconds * process.gpus for process in usage if process.gpus is not None]
    if len(gpu_seconds) == len(usage):
        per_resolved = f", {sum(gpu_seconds) / resolved:,.0f} for each resolved issue" if resolved else ""
        figures.append(f"{sum(gpu_seconds):,.0f} GPU-seconds{per_resolved}")
    return f"Sampling: {'; '.join(figures)}"


def print_costs(console: Console, run: Run) -> None:
    """Print what a run's tests and samples took. These differ from run to run, so they are not in the report."""
    seconds = seconds_per_candidate(run)
    if seconds is not None:
        total, overhead = seconds
        console.print(Text(f"Test containers: {total:.2f} s a candidate, {overhead:.2f} s of it outside of the tests"))
    chosen = [run.evaluation_of(name) for name in run.manifest.instance_ids]
    resolved = sum(evaluation is not None and evaluation.resolved for evaluation in chosen)
    line = usage_line(list(run.usage.values()), resolved)
    if line:
        console.print(Text(line))
