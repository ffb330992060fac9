"""`swerl-eval merge`: makes one run of its shards."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from swerl_eval.cli.render import print_report_files, print_run
from swerl_eval.cli.run_reports import prices_of
from swerl_eval.config import RunConfig
from swerl_eval.records.merge import merge, merged_manifest, missing_line
from swerl_eval.records.run_folder import Run, reopen_run
from swerl_eval.reports.costs import costs
from swerl_eval.reports.write_reports import write_page_if_possible, write_reports


def merge_runs(folders: Sequence[Path], results: Path, run_id: str) -> int:
    """Merge run folders into one below `results`, write its reports and print them. Returns the exit code.

    Args:
        folders: The parts.
        results: Where the merged run goes.
        run_id: Its name. Empty: the name that the unsharded run would have, so that its command goes on with it.
    """
    runs = [Run(folder) for folder in folders]
    manifest = merged_manifest(runs, run_id)
    if not run_id:
        manifest = merged_manifest(runs, default_name(manifest.config, manifest.identity))
    folder = results / manifest.run_id
    merge(runs, folder, manifest)
    if missing := missing_line(manifest, runs):
        sys.stderr.write(f"swerl-eval: {missing}\n")
    with reopen_run(folder) as run:
        report = write_reports(run)
        write_page_if_possible(run, report, _say)
    console = Console()
    print_run(console, report, costs(run, prices_of(run, {})))
    print_report_files(console, folder)
    return 0 if report["complete"] else 1


def _say(notice: str) -> None:
    sys.stderr.write(f"swerl-eval: {notice}\n")


def default_name(config: dict[str, object], identity: dict[str, object]) -> str:
    """Return the run id that the merged settings give by default."""
    settings = RunConfig.model_validate(config | {"run_id": ""})
    if "predictions" in identity:
        return f"eval-{settings.default_run_id(predictions=str(identity['predictions']))}"
    return settings.default_run_id()
