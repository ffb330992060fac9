"""`swerl-eval validate`: checks that the instances themselves are sound on this machine."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swerl_eval.cli.display import Display
from swerl_eval.compose import open_sandbox, open_source, package_versions, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import UsageError
from swerl_eval.core.types import Evaluation, Machine
from swerl_eval.evaluation.evaluator import Evaluator
from swerl_eval.evaluation.instance_check import InstanceCheck
from swerl_eval.evaluation.validate import KINDS, Validator
from swerl_eval.progress import Progress
from swerl_eval.records.full_disk import explain_full_disk
from swerl_eval.records.run_folder import lock_folder
from swerl_eval.reports.quarantine import write_quarantine
from swerl_eval.scheduling.workers import Workers
from swerl_eval.shutdown import at_once, interruptible
from swerl_eval.sources.datasets import DatasetSource


def validate_instances(config: RunConfig, repeat: int, quarantine: Path | None) -> int:
    """Run each instance with its gold patch and with none; print the unsound ones and write the quarantine file.

    Args:
        config: Chooses the instances, and how containers run.
        repeat: Runs of each instance with each of the two patches.
        quarantine: The file to write. None: `quarantine.json` in the validation's folder.

    Returns:
        Exit code 1 when an instance is unsound or the machine prevented a verdict.
    """
    source = open_source(config)
    folder = validation_folder(config)
    with ExitStack() as stack:
        stack.callback(lock_folder(folder).release)
        if (folder / "run.json").exists():
            message = f"{folder} is a run's folder; choose another --run-id, or leave it out"
            raise UsageError(message)
        progress = Progress(total=len(KINDS) * repeat * len(source.instances()))
        validation = functools.partial(
            interruptible, _validate, config, source, folder, progress, repeat, notify=progress.notify
        )
        with explain_full_disk(folder), Display(progress, ("evaluate",), "validate"):
            checks, machines = anyio.run(validation)
        _print_checks(checks, folder)
        file = quarantine or folder / "quarantine.json"
        unsound = [check for check in checks if check.problems]
        write_quarantine(
            file,
            {check.instance_id: {"reason": "; ".join(check.problems), "image_id": check.image_id} for check in unsound},
            _made_with(config, source, machines, repeat),
        )
    Console().print(Text(f"Quarantine: {len(unsound)} instances in {file}"), soft_wrap=True)
    return 1 if any(check.problems or check.machine_failures for check in checks) else 0


def validation_folder(config: RunConfig) -> Path:
    """`results/validate-<dataset>-<hash of the settings and the choice>`, or the one that `--run-id` names."""
    return config.model_copy(update={"model": "validate"}).run_folder


async def _validate(
    config: RunConfig, source: DatasetSource, folder: Path, progress: Progress, repeat: int
) -> tuple[list[InstanceCheck], Sequence[Machine]]:
    sandbox = await anyio.to_thread.run_sync(open_sandbox, config, folder, progress, abandon_on_cancel=True)
    workers = Workers(config.workers)
    workers.size_to_machines(sandbox.machines(), queued=getattr(sandbox, "queues_jobs", False))
    evaluator = Evaluator(sandbox, settings(config).evaluate)
    validator = Validator(source, evaluator, workers.limiter, progress, folder / "logs", repeat)
    try:
        with at_once(getattr(sandbox, "abort", lambda: None)):
            sandbox.prefetch([instance.image for instance in source.instances()])
            return await validator.run(), sandbox.machines()
    finally:
        with anyio.CancelScope(shield=True):
            await sandbox.aclose()


def _made_with(config: RunConfig, source: DatasetSource, machines: Sequence[Machine], repeat: int) -> dict[str, Any]:
    """What the quarantine was made with, for the file: another machine or version may give other verdicts."""
    return {
        "dataset": config.dataset,
        "dataset_fingerprint": source.fingerprint,
        "checked": len(source.instances()),
        "repeat": repeat,
        "versions": package_versions(),
        "machines": [dataclasses.asdict(machine) for machine in dict.fromkeys(machines)],
    }


def _print_checks(checks: Sequence[InstanceCheck], folder: Path) -> None:
    """Print the instances that are unsound or could not be checked, and how many are valid."""
    table = Table("instance", "with gold", "with no patch", "why")
    for check in checks:
        if check.problems or check.machine_failures:
            reasons = "; ".join((*check.problems, *check.machine_failures))
            table.add_row(*map(Text, (check.instance_id, _verdicts(check.gold), _verdicts(check.empty), reasons)))
    console = Console()
    if table.row_count:
        console.print(table)
    summary = f"{len(checks) - table.row_count} of {len(checks)} instances are valid. Logs: {folder / 'logs'}"
    console.print(Text(summary), soft_wrap=True)


def _verdicts(evaluations: Sequence[Evaluation]) -> str:
    """The verdict, or where they differ how many there are of each."""
    verdicts = Counter(evaluation.verdict.value for evaluation in evaluations)
    if len(verdicts) == 1:
        return next(iter(verdicts))
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
