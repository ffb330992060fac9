"""`swerl-eval validate`: are the instances themselves sound on this machine?"""

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
from swerl_eval.records.run_folder import lock_folder
from swerl_eval.reports.quarantine import write_quarantine
from swerl_eval.runner import interruptible, writing
from swerl_eval.scheduling.workers import Workers
from swerl_eval.shutdown import at_once
from swerl_eval.sources.datasets import DatasetSource


def validate_instances(config: RunConfig, repeat: int, quarantine: Path | None) -> int:
    """Run each instance with its gold patch and with none, `repeat` times; print and write down the offenders.

    Returns the exit code.
    """
    source = open_source(config)
    folder = validation_folder(config)
    with ExitStack() as closing:
        closing.callback(lock_folder(folder).release)
        if (folder / "run.json").exists():
            message = f"{folder} is a run's folder; choose another --run-id, or leave it out"
            raise UsageError(message)
        progress = Progress(total=len(KINDS) * repeat * len(source.instances()))
        with writing(folder), Display(progress, ("evaluate",), "validate"):
            work = functools.partial(
                interruptible, _validate, config, source, folder, progress, repeat, say=progress.notify
            )
            found, machine = anyio.run(work)
        _print(found, folder)
        file = quarantine or folder / "quarantine.json"
        faulty = {each.instance_id: each for each in found if each.problems}
        write_quarantine(
            file,
            {name: {"reason": "; ".join(each.problems), "image_id": each.image_id} for name, each in faulty.items()},
            _found_with(config, source, machine, repeat),
        )
    Console().print(Text(f"Quarantine: {len(faulty)} instances in {file}"), soft_wrap=True)
    return 1 if any(each.problems or each.machine_failures for each in found) else 0


def validation_folder(config: RunConfig) -> Path:
    """`results/validate-<dataset>-<hash of the settings and the choice>`, or the one that `--run-id` names."""
    return config.model_copy(update={"model": "validate"}).run_folder


async def _validate(
    config: RunConfig, source: DatasetSource, folder: Path, progress: Progress, repeat: int
) -> tuple[list[InstanceCheck], Machine]:
    sandbox = await anyio.to_thread.run_sync(open_sandbox, config, folder, progress, abandon_on_cancel=True)
    workers = Workers(config.workers)
    workers.size_to_machine(sandbox.machine())
    evaluator = Evaluator(sandbox, settings(config).evaluate)
    validator = Validator(source, evaluator, workers.limiter, progress, folder / "logs", repeat)
    try:
        with at_once(getattr(sandbox, "abort", lambda: None)):
            sandbox.prefetch([instance.image for instance in source.instances()])
            return await validator.run(), sandbox.machine()
    finally:
        with anyio.CancelScope(shield=True):
            await sandbox.aclose()


def _found_with(config: RunConfig, source: DatasetSource, machine: Machine, repeat: int) -> dict[str, Any]:
    """What the file says beside the instances: a verdict of another machine or version is another verdict."""
    return {
        "dataset": config.dataset,
        "dataset_fingerprint": source.fingerprint,
        "checked": len(source.instances()),
        "repeat": repeat,
        "versions": package_versions(),
        "machine": dataclasses.asdict(machine),
    }


def _print(found: Sequence[InstanceCheck], folder: Path) -> None:
    table = Table("instance", "with gold", "with no patch", "why")
    for each in found:
        if each.problems or each.machine_failures:
            reasons = "; ".join((*each.problems, *each.machine_failures))
            table.add_row(*map(Text, (each.instance_id, _counted(each.gold), _counted(each.empty), reasons)))
    console = Console()
    if table.row_count:
        console.print(table)
    summary = f"{len(found) - table.row_count} of {len(found)} instances are valid. Logs: {folder / 'logs'}"
    console.print(Text(summary), soft_wrap=True)


def _counted(runs: Sequence[Evaluation]) -> str:
    """The verdict, or how often there was which."""
    verdicts = Counter(each.verdict.value for each in runs)
    if len(verdicts) == 1:
        return next(iter(verdicts))
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
