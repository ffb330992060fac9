"""A sandbox that stays open between calls: one event loop in one thread of this process, for each configuration."""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread

from swerl_eval.compose import open_sandbox, open_source, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.answers.solution import solution_of
from swerl_eval.core.edits import EditError, parse_answer
from swerl_eval.core.errors import SourceError, SwerlEvalError, UnknownInstanceError, cause_of
from swerl_eval.core.types import Candidate, Completion, Instance, Sample
from swerl_eval.evaluation.cached_evaluator import CachedEvaluator
from swerl_eval.evaluation.evaluator import Evaluator
from swerl_eval.evaluation.patch_judge import JudgeFigures, PatchJudge
from swerl_eval.evaluation.verdict_cache import VerdictCache
from swerl_eval.integrations.execution.outcome import Outcome
from swerl_eval.ports import Snapshot
from swerl_eval.progress import Progress
from swerl_eval.scheduling.workers import Workers
from swerl_eval.stages.read_candidates import read_in_background

CLOSE_SECONDS = 60.0
"""Longest wait for containers to be removed when a pool is closed."""


@dataclass(frozen=True)
class Answer:
    """One answer to the issue of an instance."""

    instance_id: str
    text: str


@dataclass(frozen=True)
class Bounds:
    """What one call may take."""

    seconds: float
    """Then, answers without a verdict are failures."""
    queue: int
    """Patches that run or wait in the pool; one beyond them is a failure."""


class ExecutionPool:
    """Evaluates answers, from any thread. Opened with the first call, closed at the end of the process."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, name="swerl-eval reward", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it is open, or being opened."""
        return self._thread.is_alive()

    @property
    def figures(self) -> JudgeFigures:
        """What was run so far."""
        self._ready.result()
        return self._judge.figures

    def submit(self, answers: Sequence[Answer], bounds: Bounds) -> Future[list[Outcome]]:
        """Begin to evaluate answers; the future's result has an outcome for each. Cancelling it ends the evaluation.

        Raises:
            SwerlEvalError: The dataset or the sandbox cannot be opened. The future raises `UnknownInstanceError` for an
                instance that the dataset does not have.
        """
        loop = self._ready.result()
        return asyncio.run_coroutine_threadsafe(self._evaluate(answers, bounds), loop)

    def close(self) -> None:
        """End what runs, remove the containers and let go of the sandbox."""
        try:
            loop = self._ready.result()
            loop.call_soon_threadsafe(self._stop.set)
        except Exception:  # noqa: BLE001 - it never opened, or has ended
            return
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        try:
            anyio.run(self._serve)
        except Exception as error:  # noqa: BLE001 - raised where the pool is used
            if not self._ready.done():
                self._ready.set_exception(cause_of(error))

    async def _serve(self) -> None:
        """Hold the sandbox open until `close`."""
        config = self._config
        self._stop = asyncio.Event()
        self._source = open_source(config)
        self._instances = {instance.instance_id: instance for instance in self._source.instances()}
        self._snapshots: dict[str, Snapshot] = {}
        folder = Path(tempfile.mkdtemp(prefix="swerl-eval-reward-"))
        sandbox = None
        try:
            sandbox = await anyio.to_thread.run_sync(open_sandbox, config, folder, Progress())
            cache = await anyio.to_thread.run_sync(VerdictCache, config.verdicts_folder()) if config.reuse else None
            workers = Workers(config.workers)
            workers.size_to_machines(sandbox.machines(), queued=getattr(sandbox, "queues_jobs", False))
            evaluator = CachedEvaluator(Evaluator(sandbox, settings(config).evaluate), cache)
            async with anyio.create_task_group() as group:
                self._judge = PatchJudge(self._source, evaluator, workers.limiter, folder, group)
                group.start_soon(workers.autoscale, sandbox.pressure)
                self._ready.set_result(asyncio.get_running_loop())
                await self._stop.wait()
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                if sandbox is not None:
                    await sandbox.aclose()
                await anyio.to_thread.run_sync(functools.partial(shutil.rmtree, folder, ignore_errors=True))

    async def _evaluate(self, answers: Sequence[Answer], bounds: Bounds) -> list[Outcome]:
        late = Outcome(failure=f"there was no verdict within {bounds.seconds:g} s")
        outcomes = [late] * len(answers)
        by_instance: dict[str, list[int]] = {}
        for index, answer in enumerate(answers):
            if answer.instance_id not in self._instances:
                message = f"{self._config.dataset} has no chosen instance {answer.instance_id!r}"
                raise UnknownInstanceError(message)
            by_instance.setdefault(answer.instance_id, []).append(index)
        with anyio.move_on_after(bounds.seconds), _plain_errors():
            async with anyio.create_task_group() as group:
                for name, indices in by_instance.items():
                    texts = {index: answers[index].text for index in indices}
                    group.start_soon(self._evaluate_instance, self._instances[name], texts, outcomes, bounds)
        return outcomes

    async def _evaluate_instance(
        self, instance: Instance, texts: dict[int, str], outcomes: list[Outcome], bounds: Bounds
    ) -> None:
        try:
            candidates = await self._candidates(instance, texts)
        except (SourceError, OSError) as error:
            for index in texts:
                outcomes[index] = Outcome(failure=str(error))
            return
        async with anyio.create_task_group() as group:
            for candidate in candidates:
                if candidate.rejection is not None:
                    outcomes[candidate.index] = Outcome(candidate.rejection)
                elif self._judge.waiting >= bounds.queue and not self._judge.runs(instance, candidate.patch):
                    outcomes[candidate.index] = Outcome(failure=f"{bounds.queue} patches were waiting already")
                else:
                    group.start_soon(self._judge_candidate, instance, candidate, outcomes)
                    await anyio.lowlevel.checkpoint()  # so that it is counted before the next one is

    async def _judge_candidate(self, instance: Instance, candidate: Candidate, outcomes: list[Outcome]) -> None:
        try:
            evaluation = await self._judge.judge(instance, candidate.patch)
        except (SwerlEvalError, OSError) as error:
            outcomes[candidate.index] = Outcome(failure=str(error))
            return
        outcomes[candidate.index] = Outcome(evaluation=evaluation, failure=evaluation.prevented)

    async def _candidates(self, instance: Instance, texts: dict[int, str]) -> list[Candidate]:
        """Read answers as the repair stage does. Every file that an answer names counts as shown to the model."""
        name, thinking = instance.instance_id, self._config.thinking
        if name not in self._snapshots:
            self._snapshots[name] = await self._source.snapshot(instance)
        snapshot = self._snapshots[name]
        completions = {index: Completion(text) for index, text in texts.items()}
        named = await anyio.to_thread.run_sync(
            lambda: {index: files_named(completion, thinking=thinking) for index, completion in completions.items()}
        )
        read = {path: snapshot.read(path) for path in {path for paths in named.values() for path in paths}}
        shown = {path: text for path, text in read.items() if text is not None}
        samples = [
            Sample(name, "repair", index, completion, tuple(p for p in named[index] if p in shown), "", 0)
            for index, completion in completions.items()
        ]
        return await read_in_background(samples, shown, (), thinking=thinking)


def files_named(completion: Completion, *, thinking: bool) -> tuple[str, ...]:
    """Return the paths that the edits of an answer name; none where it holds no edit."""
    try:
        edits = parse_answer(solution_of(completion, thinking=thinking) or "")
    except EditError:
        return ()
    return tuple(dict.fromkeys(edit.path for edit in edits))


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Raise errors without the groups around them."""
    failure: Exception | None = None
    try:
        yield
    except Exception as error:  # noqa: BLE001 - raised below
        failure = cause_of(error)
    if failure is not None:
        raise failure


_LOCK = threading.Lock()
_POOLS: dict[str, ExecutionPool] = {}


def pool_for(config: RunConfig) -> ExecutionPool:
    """Return this process's pool for a configuration; it is opened where there is none, or it could not be."""
    key = config.model_dump_json()
    with _LOCK:
        if key not in _POOLS or not _POOLS[key].alive:
            _POOLS[key] = ExecutionPool(config)
        return _POOLS[key]


def close_pools() -> None:
    """Close all pools of this process. The next call opens another one."""
    with _LOCK:
        pools = list(_POOLS.values())
        _POOLS.clear()
    for pool in pools:
        pool.close()


def _forget_parents_pools() -> None:
    """A forked process has no threads of its parent's pools."""
    global _LOCK
    _LOCK = threading.Lock()  # it may have been held at the fork
    _POOLS.clear()


os.register_at_fork(after_in_child=_forget_parents_pools)
atexit.register(close_pools)
