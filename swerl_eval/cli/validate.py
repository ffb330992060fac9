"""`swerl-eval validate`: are the instances themselves sound on this machine?"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import anyio
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swerl_eval.cli.display import Display
from swerl_eval.compose import interruptible, open_sandbox, open_source, settings, writing
from swerl_eval.config import RunConfig
from swerl_eval.core.types import Evaluation, Instance, Verdict
from swerl_eval.ports import Sandbox
from swerl_eval.progress import Progress
from swerl_eval.sources.datasets import DatasetSource
from swerl_eval.stages.evaluate import Evaluator
from swerl_eval.workers import Workers

GOLD, EMPTY = "gold", "empty"


@dataclass
class Validation:
    """Each instance run with its gold patch and with no patch at all."""

    config: RunConfig
    source: DatasetSource
    folder: Path
    progress: Progress

    async def run(self) -> dict[tuple[str, str], Evaluation]:
        """Evaluations by instance id and kind of patch."""
        sandbox = open_sandbox(self.config, self.folder)
        found: dict[tuple[str, str], Evaluation] = {}
        workers = Workers(self.config.workers)
        workers.fit(sandbox.machine())
        instances = self.source.instances()
        try:
            sandbox.prefetch([instance.image for instance in instances])
            async with anyio.create_task_group() as group:
                for instance in instances:
                    for kind in (GOLD, EMPTY):
                        group.start_soon(self._one, instance, kind, sandbox, workers.limiter, found)
        finally:
            with anyio.CancelScope(shield=True):
                await sandbox.aclose()
        return found

    async def _one(
        self,
        instance: Instance,
        kind: str,
        sandbox: Sandbox,
        limiter: anyio.CapacityLimiter,
        found: dict[tuple[str, str], Evaluation],
    ) -> None:
        oracle = self.source.oracle(instance.instance_id)
        evaluator = Evaluator(sandbox, settings(self.config).evaluate)
        patch = oracle.patch if kind == GOLD else ""
        logs = self.folder / "logs" / kind / instance.instance_id
        async with limiter:
            self.progress.containers += 1
            try:
                evaluation = await evaluator.run_tests(instance, oracle, patch, logs)
            finally:
                self.progress.containers -= 1
        self.progress.verdicts[f"{kind} {evaluation.verdict.value}"] += 1
        self.progress.finish("evaluate", resumed=False)
        found[instance.instance_id, kind] = evaluation


def validate_instances(config: RunConfig) -> int:
    """Run each instance with its gold patch and with none; print the offenders. Returns the exit code."""
    source = open_source(config)
    folder = Path(config.results) / (config.run_id or "validate")
    shutil.rmtree(folder / "logs", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    progress = Progress(total=2 * len(source.instances()))
    with writing(folder), Display(progress, ("evaluate",), "validate"):
        found = anyio.run(interruptible, Validation(config, source, folder, progress).run)
    table = Table("instance", "with gold", "with no patch", "why")
    names = [instance.instance_id for instance in source.instances()]
    offenders = 0
    for name in names:
        gold, empty = found[name, GOLD], found[name, EMPTY]
        reasons = _complaints(gold, empty)
        if reasons:
            offenders += 1
            table.add_row(*map(Text, (name, gold.verdict.value, empty.verdict.value, "; ".join(reasons))))
    console = Console()
    if offenders:
        console.print(table)
    summary = f"{len(names) - offenders} of {len(names)} instances are valid. Logs: {folder / 'logs'}"
    console.print(Text(summary), soft_wrap=True)
    return 1 if offenders else 0


def _complaints(gold: Evaluation, empty: Evaluation) -> list[str]:
    complaints = []
    if not gold.resolved:
        complaints.append(gold.reason or "the gold patch does not resolve it")
    if empty.resolved:
        complaints.append("it is resolved without any patch")
    elif empty.verdict is Verdict.INFRA_ERROR:
        complaints.append(empty.reason)
    return complaints
