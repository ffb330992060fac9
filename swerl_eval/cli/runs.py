"""What the commands that carry out a run do."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import orjson
from rich.console import Console
from rich.text import Text

from swerl_eval.api.predictions import predictions_run
from swerl_eval.cli.display import Display
from swerl_eval.cli.redirect_output import redirect_output
from swerl_eval.cli.render import print_report_files, print_run
from swerl_eval.compose import gold_files
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import UsageError
from swerl_eval.core.metrics import localization_recall
from swerl_eval.core.secrets import Redactor
from swerl_eval.core.types import GOLD, HANDED_IN, MADE
from swerl_eval.records.manifest import MANIFEST_FILE, read_manifest
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.costs import costs
from swerl_eval.reports.first_screen import RECORDED, failed_answers
from swerl_eval.reports.summary import Report, build_report
from swerl_eval.runner import Runner, RunResult
from swerl_eval.sources.user_files import Predictions


def execute(config: RunConfig, until: str, predictions: Predictions | None = None) -> int:
    """Carry out a run up to and including a stage, with a display, and print its results. Returns the exit code."""
    runner = Runner(config, until, predictions)
    with runner.open_run() as run, ExitStack() as stack:
        terminal = None
        if config.sampler == "vllm" and predictions is None:  # vLLM's own output would garble the display
            log = run.folder / "logs/engine.log"
            terminal = stack.enter_context(redirect_output(log, Redactor(config.secrets())))
        stack.enter_context(Display(runner.progress, runner.stages, run.folder.name, terminal))
        if run.manifest.recorded:
            sys.stderr.write(RECORDED + "\n")
        result = runner.execute(run)
    return _conclude(result, until, runner)


def evaluate_predictions(config: RunConfig, file: str) -> int:
    """Grade a file of predictions, or the gold patches (`gold`), in a run folder of their own.

    Returns the exit code.
    """
    config, predictions = predictions_run(config, file)
    return execute(config, "evaluate", predictions)


def evaluate_run(config: RunConfig) -> int:
    """Grade the patches that a run has chosen; of a run that graded the gold patches, those that are left.

    Returns the exit code.

    Raises:
        UsageError: The run grades patches that were handed in; with the remedy.
    """
    stored = (
        read_manifest(config.run_folder) if config.run_id and (config.run_folder / MANIFEST_FILE).exists() else None
    )
    origin = MADE if stored is None else stored.patch_origin
    if origin == HANDED_IN:
        message = f"run {config.run_id} grades patches that were handed in: give them again with --predictions FILE"
        raise UsageError(message)
    return evaluate_predictions(config, GOLD) if origin == GOLD else execute(config, "evaluate")


def _conclude(result: RunResult, until: str, runner: Runner) -> int:
    """Print what a run has come to, with its failures on standard error; returns the exit code."""
    console = Console()
    run = Run(result.folder)
    if until == "evaluate":
        report = orjson.loads((result.folder / "report.json").read_bytes())
        print_run(console, report, costs(run, runner.config.prices))
        if runner.progress.cache_hits:
            hits = runner.progress.cache_hits
            line = f"{hits} verdict{'s' if hits > 1 else ''} from the cache (--no-cache runs every patch)"
            console.print(Text(line))
    else:
        report = build_report(run)
        console.print(Text(_stage_line(run, report, until, runner)), soft_wrap=True)
        if failed := failed_answers(report):
            console.print(Text(str(failed)), soft_wrap=True)
    for name, reason in {**result.failures, **result.infra_errors}.items():
        sys.stderr.write(f"swerl-eval: {name}: {reason}\n")
    if not result.complete:
        sys.stderr.write("swerl-eval: not every instance was finished; the same command tries the rest again\n")
    print_report_files(console, result.folder)
    return 0 if result.complete else 1


def _stage_line(run: Run, report: Report, until: str, runner: Runner) -> str:
    """The result of a run that ends before the verdicts, in one line."""
    if until == "localize":
        lists = {record.instance_id: record.file_lists for record in run.localizations.values()}
        recall = localization_recall(lists, gold_files(runner.source, lists))
        share = f"; all gold files found in {recall.all_found} of {recall.instances}" if recall else ""
        return f"Localized {len(lists)} instances{share}."
    sampling = report["sampling"] or {"samples": 0, "valid": 0, "unique": 0}
    chosen = sum(bool(selection.patch) for selection in run.selections.values())
    selected = f"; a patch chosen for {chosen} of {len(run.selections)} instances" if until == "select" else ""
    return f"{sampling['samples']} samples, {sampling['valid']} valid, {sampling['unique']} unique{selected}."
