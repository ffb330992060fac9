"""What the commands that carry out or show a run do."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import tomli_w
from rich.console import Console
from rich.text import Text

from swerl_eval.cli.display import Display
from swerl_eval.cli.redirect_output import redirect_output
from swerl_eval.cli.render import RECORDED, failed_answers_lines, print_run, usage_line
from swerl_eval.compose import gold_files, gold_predictions, open_source, rows_of, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import UsageError
from swerl_eval.core.metrics import localization_recall
from swerl_eval.core.types import Evaluation
from swerl_eval.evaluation.regrade import Change, regrade
from swerl_eval.records.run_folder import Run, reopen_run
from swerl_eval.registry import load
from swerl_eval.reports import EXPORTERS
from swerl_eval.reports.quarantine import Quarantine, read_quarantine
from swerl_eval.reports.summary import Report, build_report
from swerl_eval.reports.test_figures import seconds_per_candidate
from swerl_eval.reports.write_reports import write_reports
from swerl_eval.runner import Runner, RunResult
from swerl_eval.settings import STAGES, TEST_STAGES
from swerl_eval.sources.user_files import Predictions, read_predictions


def execute(config: RunConfig, until: str, predictions: Predictions | None = None) -> int:
    """Carry a run out to a stage, with a display, and print what came of it. Returns the exit code."""
    work = Runner(config, until, predictions)
    stages = shown_stages(config, until) if predictions is None else STAGES[-1:]
    with work.open_run() as run, ExitStack() as around:
        shown = None
        if config.sampler == "vllm" and predictions is None:  # what its engine prints would run through any panel
            shown = around.enter_context(redirect_output(run.folder / "logs/engine.log"))
        around.enter_context(Display(work.progress, stages, run.folder.name, shown))
        if run.manifest.recorded:
            sys.stderr.write(RECORDED + "\n")
        outcome = work.execute(run)
    return _conclude(outcome, until, work)


def shown_stages(config: RunConfig, until: str) -> tuple[str, ...]:
    """The stages that a run goes through; a plain vote has none that test."""
    stages = STAGES[: STAGES.index(until) + 1]
    return tuple(stage for stage in stages if settings(config).testing or stage not in TEST_STAGES)


def evaluate_predictions(config: RunConfig, predictions: str) -> int:
    """Grade a file of predictions, or the gold patches, in a run folder of their own."""
    source = open_source(config)
    if predictions == "gold":
        given = gold_predictions(source)
    else:
        given = read_predictions(Path(predictions), source.all_ids)
        given = given.of({instance.instance_id for instance in source.instances()})
        if not given.patches:
            message = f"{predictions} has no prediction for any chosen instance"
            raise UsageError(message)
    if not config.run_id:
        config = config.model_copy(update={"model": given.model_name})
        run_id = f"eval-{config.default_run_id(predictions=given.digest)}"  # another file is another run
        config = config.model_copy(update={"run_id": run_id})
    return execute(config, "evaluate", given)


def _conclude(outcome: RunResult, until: str, work: Runner) -> int:
    console = Console()
    if until == "evaluate":
        print_run(console, orjson.loads((outcome.folder / "report.json").read_bytes()))
        _print_test_seconds(console, Run(outcome.folder))
        _print_usage(console, Run(outcome.folder))
        if work.progress.cache_hits:
            console.print(Text(f"{work.progress.cache_hits} verdicts from the cache (--no-cache runs every patch)"))
    else:
        for line in _stage_lines(outcome.folder, until, work):
            console.print(Text(line), soft_wrap=True)
    for name, reason in {**outcome.failures, **outcome.infra_errors}.items():
        sys.stderr.write(f"swerl-eval: {name}: {reason}\n")
    if not outcome.complete:
        sys.stderr.write("swerl-eval: not every instance was finished; the same command tries the rest again\n")
    console.print(Text(f"Report: {outcome.folder / 'report.json'}"), soft_wrap=True)
    return 0 if outcome.complete else 1


def _stage_lines(folder: Path, until: str, work: Runner) -> list[str]:
    """What came of a run that ends before its verdicts, and of its answers those that never came."""
    run = Run(folder)
    report = build_report(run)
    return [_stage_line(run, report, until, work), *failed_answers_lines(report)]


def _stage_line(run: Run, report: Report, until: str, work: Runner) -> str:
    if until == "localize":
        lists = {record.instance_id: record.file_lists for record in run.localizations.values()}
        recall = localization_recall(lists, gold_files(work.source, lists))
        found = f"; all gold files found in {recall.all_found} of {recall.instances}" if recall else ""
        return f"Localized {len(lists)} instances{found}."
    sampling = report["sampling"] or {"samples": 0, "valid": 0, "unique": 0}
    chosen = sum(bool(selection.patch) for selection in run.selections.values())
    picked = f"; a patch chosen for {chosen} of {len(run.selections)} instances" if until == "select" else ""
    return f"{sampling['samples']} samples, {sampling['valid']} valid, {sampling['unique']} unique{picked}."


def _print_test_seconds(console: Console, run: Run) -> None:
    """What the tests cost. Times differ from run to run, so they are not in the report."""
    seconds = seconds_per_candidate(run)
    if seconds is not None:
        total, outside = seconds
        console.print(Text(f"Test containers: {total:.2f} s a candidate, {outside:.2f} s of it outside of the tests"))


def _print_usage(console: Console, run: Run) -> None:
    """What was drawn from the model, in all of the run's processes."""
    line = usage_line(list(run.usage.values()), sum(each.resolved for each in run.evaluations.values()))
    if line:
        console.print(Text(line))


def regrade_run(folder: Path, dataset: str | None, quarantine: Path | None) -> None:
    """Grade a run's saved logs again, and say on standard error what changed."""
    with reopen_run(folder) as run:
        found = regrade(run, rows_of(run, dataset))
        write_reports(run, quarantine=quarantine_of(run, quarantine))
    for change in found.changes:
        sys.stderr.write(f"{change.instance_id}, patch {change.after.patch_sha256[:12]}: {_difference(change)}\n")
    for name, reason in found.ungraded.items():
        sys.stderr.write(f"{name}: not graded again: {reason}\n")
    rate = found.graded / max(found.seconds, 1e-9)
    sys.stderr.write(
        f"{found.graded} logs graded again in {found.seconds:.2f} s ({rate:,.0f}/s), {len(found.changes)} changed\n"
    )


def _difference(change: Change) -> str:
    def said(evaluation: Evaluation) -> str:
        return evaluation.verdict.value + (f" (strict: {evaluation.strict.value})" if evaluation.strict else "")

    before, after = said(change.before), said(change.after)
    return f"{before} before, {after} now" if before != after else f"{after} as before, but not test by test"


def quarantine_of(run: Run, given: Path | None) -> Quarantine | None:
    """The quarantine that a report is to honour: the one given, else the run's own setting."""
    chosen = given or run.manifest.config.get("quarantine")
    return read_quarantine(Path(chosen)) if chosen else None


def print_report(folder: Path, form: str, quarantine: Path | None = None) -> None:
    """A run's report, made anew from its records."""
    if form not in {"table", "json"}:
        message = f"--format {form}: there are table and json"
        raise UsageError(message)
    run = Run(folder)
    report = build_report(run, quarantine=quarantine_of(run, quarantine))
    if form == "json":
        sys.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        print_run(Console(), report)
        _print_test_seconds(Console(), run)
        _print_usage(Console(), run)


def export_run(folder: Path, to: str, output: Path | None, details: dict[str, Any]) -> None:
    """Write a run in another format and say where."""
    destination = output or folder / "export" / to.replace(":", ".")
    for written in load("exporter", to, EXPORTERS)().export(folder, destination, details):
        sys.stdout.write(f"{written}\n")


def print_config(config: RunConfig) -> None:
    """Every setting as TOML, which `--config` reads back."""
    sys.stdout.write(tomli_w.dumps(config.model_dump(mode="json", exclude_none=True)))
    sys.stdout.write(f"# the run's folder: {config.run_folder}\n")
