"""One life of vLLM's engine: its start, what it counts, and its end with every process of it."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

from swerl_eval.core.errors import SamplerError, SwerlEvalError
from swerl_eval.samplers.vllm.engine_settings import engine_arguments, imported, reason
from swerl_eval.samplers.vllm.engine_types import Llm
from swerl_eval.samplers.vllm.exit_summary import Death, EngineOutput, informative, with_remedy
from swerl_eval.samplers.vllm.watchdog import Guard

_PATIENCE = 10.0
"""Seconds that a process gets to end, before it is killed, and after."""
_ONE_START_AT_A_TIME = threading.Lock()
"""vLLM measures free memory while it starts; and what children appear meanwhile are the new engine's."""


class EngineDiedError(Exception):
    """The engine that a request was sent to is dead. Never leaves the sampler: it starts another one."""


@dataclass
class Figures:
    """What the engines of one sampler have counted, over all of their lives (vLLM calls it a stat logger).

    The engine's own counts of prompts when their first token comes: once a prompt, whatever waited or was taken back.
    """

    prompt_tokens: int = 0
    """Of all answers: a prompt with n answers counts n times."""
    prompt_tokens_computed: int = 0
    """Of these, run through the model; the others were in the prefix cache."""

    def __call__(self, config: object, engine_index: int = 0) -> Figures:
        """As vLLM makes one for each of its engines: they all count here."""
        del config, engine_index
        return self

    def record(self, scheduler_stats: object, iteration_stats: Any, *others: object, **more: object) -> None:
        """One step of an engine."""
        del scheduler_stats, others, more
        counted = getattr(iteration_stats, "prompt_token_stats", None)
        if counted is not None:
            self.prompt_tokens += counted.total
            self.prompt_tokens_computed += counted.computed

    def log_engine_initialized(self) -> None:
        """Nothing to say."""

    def log(self) -> None:
        """Nothing to say."""

    def record_sleep_state(self, *state: object, **more: object) -> None:
        """It never sleeps."""


class Engine:
    """vLLM's `AsyncLLM` with the processes that belong to it. Starting takes minutes, ending seconds."""

    def __init__(self, llm: Llm, processes: list[BaseProcess], guard: Guard, output: EngineOutput) -> None:
        self._llm: Llm | None = llm
        self._processes = processes
        self._output = output
        self.answered = False
        """Whether an answer of it has come to its end."""
        # of a core that was killed the workers could no longer be found
        self._workers = _descendants(processes)
        self._guard = guard
        for worker in self._workers:
            guard.watch(worker.pid)

    @classmethod
    def start(cls, model: str, settings: Mapping[str, Any], figures: Figures, closing: threading.Event) -> Engine:
        """Start one, and give up when `closing` is set. Raises `SamplerError` with vLLM's reason."""
        llm = imported("vllm.v1.engine.async_llm").AsyncLLM
        with _ONE_START_AT_A_TIME, _Start(closing) as start:
            output = EngineOutput()
            try:
                if closing.is_set():
                    message = f"vLLM with {model} was closed"
                    raise SamplerError(message)
                arguments = engine_arguments(model, settings)
                # Kept in no local: errors that vLLM catches and stores on import hold the frame.
                return cls(
                    llm.from_engine_args(arguments, stat_loggers=[figures]), start.children(), start.guard, output
                )
            except Exception as error:
                for child in start.children():
                    _end(child)
                start.guard.dismiss()
                fault = output.last_error()
                output.close()
                if isinstance(error, SwerlEvalError):
                    raise
                message = f"vLLM does not start with {model}: {informative(reason(error), fault)}"
                raise SamplerError(with_remedy(message)) from error

    @property
    def llm(self) -> Llm:
        """The engine itself. Raises `EngineDiedError` when it has been ended."""
        if self._llm is None:
            message = "it was ended"
            raise EngineDiedError(message)
        return self._llm

    @property
    def dead(self) -> bool:
        """Whether it answers nothing any more, for whatever reason."""
        return self._llm is None or self._llm.errored or any(not process.is_alive() for process in self._processes)

    def bury(self, symptom: str) -> Death:
        """End a dead one; says how it came to its end, as far as that can be seen."""
        for process in self._processes:
            process.join(2)  # the news of a death comes before the exit code
        codes = [process.exitcode for process in self._processes if process.exitcode is not None]
        killed = -9 in codes
        told = f"its core ended with {', '.join(map(str, codes))}" if codes else "its core still runs but is given up"
        self._end()
        # one that was killed had no time to name a fault: what is named there is not its own
        fault = "" if killed else self._output.last_error()
        self._output.close()
        return Death(f"{symptom}, {told}{'; killed from outside, perhaps for memory' if killed else ''}", fault, killed)

    def end(self) -> None:
        """Return when no process of it is left, so that its memory is free."""
        self._end()
        self._output.close()

    def _end(self) -> None:
        if self._llm is not None:
            self._llm.shutdown()
            # Nothing may hold it any longer: at the interpreter's end its own clean-up stumbles.
            self._llm = None
        for process in self._processes:
            _end(process)
        _ended_within(_PATIENCE, self._workers)
        for worker in _alive(self._workers):
            with suppress(imported("psutil").NoSuchProcess):
                worker.kill()
        _ended_within(_PATIENCE, self._workers)
        left = _alive(self._workers)
        if left:
            pids = ", ".join(str(worker.pid) for worker in left)
            message = f"processes of vLLM's engine do not end ({pids}); they hold memory that a new one would need"
            raise SamplerError(message)
        self._guard.dismiss()


class _Start:
    """Sees the children that an engine gets while it starts; ends them as soon as nobody wants it any more."""

    def __init__(self, closing: threading.Event) -> None:
        self._before = set(multiprocessing.active_children())
        self._closing = closing
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._watched, name="vllm-start", daemon=True)
        self.guard = Guard()

    def __enter__(self) -> _Start:
        self._watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._watch.join()

    def children(self) -> list[BaseProcess]:
        return list(set(multiprocessing.active_children()) - self._before)

    def _watched(self) -> None:
        known: set[int | None] = set()
        last = False
        while not last:
            last = self._done.wait(0.1)
            for child in self.children():
                if child.pid not in known:
                    known.add(child.pid)
                    self.guard.watch(child.pid)
                if self._closing.is_set() and not last:
                    child.kill()


def _end(process: BaseProcess) -> None:
    """Joined, killed if need be."""
    process.join(_PATIENCE)
    if process.is_alive():
        process.kill()
        process.join(_PATIENCE)


def _alive(workers: Sequence[Any]) -> list[Any]:
    """Those that still hold memory: a zombie holds none, and of a dead core's workers some may stay one for good."""
    psutil = imported("psutil")

    def holds(worker: Any) -> bool:
        try:
            return bool(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    return [worker for worker in workers if holds(worker)]


def _ended_within(seconds: float, workers: Sequence[Any]) -> None:
    deadline = time.monotonic() + seconds
    while _alive(workers) and time.monotonic() < deadline:
        time.sleep(0.05)


def _descendants(processes: Sequence[BaseProcess]) -> list[Any]:
    psutil = imported("psutil")
    found = []
    for process in processes:
        try:
            found += psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            continue  # dead so soon: the first request will tell
    return found
