"""Start, monitor and stop one vLLM engine with all of its processes."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

from swerl_eval.core.errors import SamplerError, SwerlEvalError
from swerl_eval.samplers.vllm.engine_settings import engine_arguments, imported, reason
from swerl_eval.samplers.vllm.engine_types import Llm
from swerl_eval.samplers.vllm.exit_summary import EngineOutput, ExitSummary, informative, with_remedy
from swerl_eval.samplers.watchdog import Process, Watchdog, descendants

_EXIT_WAIT = 10.0
"""Seconds that a process has to end by itself, and after it is killed."""
_EXIT_CODE_WAIT = 2.0
"""Seconds from the news that a core process died to its exit code."""
_START_LOCK = threading.Lock()
"""One start at a time: a starting vLLM measures free memory, and children that appear meanwhile are the engine's."""


class EngineDiedError(Exception):
    """The engine that a request was sent to is dead. It never leaves the sampler, which starts another engine."""


@dataclass
class EngineStats:
    """Counts prompt tokens over all engines of one sampler. To vLLM this is a stat logger.

    The engine counts a prompt once, when its first output token comes, even if the request waited or was preempted.
    """

    prompt_tokens: int = 0
    """Prompt tokens of all answers: a prompt with n answers counts n times."""
    prompt_tokens_computed: int = 0
    """Those that went through the model. The others were in the prefix cache."""

    def __call__(self, config: object, engine_index: int = 0) -> EngineStats:
        """Return the logger for one engine. vLLM calls this for each; all of them share this one."""
        del config, engine_index
        return self

    def record(self, scheduler_stats: object, iteration_stats: Any, *others: object, **more: object) -> None:
        """Add the counts of one engine step."""
        del scheduler_stats, others, more
        stats = getattr(iteration_stats, "prompt_token_stats", None)
        if stats is not None:
            self.prompt_tokens += stats.total
            self.prompt_tokens_computed += stats.computed

    def log_engine_initialized(self) -> None:
        """Do nothing: there is no log."""

    def log(self) -> None:
        """Do nothing: there is no log."""

    def record_sleep_state(self, *state: object, **more: object) -> None:
        """Do nothing: the engine never sleeps."""


class Engine:
    """vLLM's `AsyncLLM` with the processes that belong to it. A start takes minutes, an end seconds."""

    def __init__(self, llm: Llm, processes: list[BaseProcess], watchdog: Watchdog, output: EngineOutput) -> None:
        self._llm: Llm | None = llm
        self._processes = processes
        self._output = output
        self.answered = False
        """Whether it has finished an answer."""
        # Listed now: once a core process is dead, its workers are no longer below it.
        self._workers = [worker for process in processes for worker in descendants(process.pid or 0)]
        self._watchdog = watchdog
        for worker in self._workers:
            watchdog.watch(worker)

    @classmethod
    def start(cls, model: str, settings: Mapping[str, Any], stats: EngineStats, closing: threading.Event) -> Engine:
        """Start an engine and return it when it is ready.

        Args:
            model: A folder, or a hub id.
            settings: vLLM's own settings, by the names of `AsyncEngineArgs`.
            stats: Where the engine adds its counts.
            closing: Set by another thread to give the start up.

        Raises:
            SamplerError: The engine does not start, or `closing` was set; the message has vLLM's reason.
            UsageError: vLLM has no such setting.
        """
        llm = imported("vllm.v1.engine.async_llm").AsyncLLM
        with _START_LOCK, _ChildMonitor(closing) as monitor:
            output = EngineOutput()
            try:
                if closing.is_set():
                    message = f"vLLM with {model} was closed"
                    raise SamplerError(message)
                arguments = engine_arguments(model, settings)
                # The engine is in no local variable: errors that vLLM catches and stores on import hold this frame.
                return cls(
                    llm.from_engine_args(arguments, stat_loggers=[stats]), monitor.children(), monitor.watchdog, output
                )
            except Exception as error:
                for child in monitor.children():
                    _end(child)
                monitor.watchdog.dismiss()
                fault = output.last_error()
                output.close()
                if isinstance(error, SwerlEvalError):
                    raise
                message = f"vLLM does not start with {model}: {informative(reason(error), fault)}"
                raise SamplerError(with_remedy(message)) from error

    @property
    def llm(self) -> Llm:
        """vLLM's engine. Raises `EngineDiedError` after it was ended."""
        if self._llm is None:
            message = "it was ended"
            raise EngineDiedError(message)
        return self._llm

    @property
    def is_dead(self) -> bool:
        """Whether it can give no more answers."""
        return self._llm is None or self._llm.errored or any(not process.is_alive() for process in self._processes)

    def end_dead(self, symptom: str) -> ExitSummary:
        """End what is left of a dead engine, and say how it died.

        Args:
            symptom: What a request saw of the death.

        Raises:
            SamplerError: Processes of the engine do not end.
        """
        for process in self._processes:
            process.join(_EXIT_CODE_WAIT)
        codes = [process.exitcode for process in self._processes if process.exitcode is not None]
        killed = -9 in codes
        state = f"its core ended with {', '.join(map(str, codes))}" if codes else "its core still runs but is given up"
        self._end_processes()
        # A core that was killed had no time to print an error: one in the output is not the cause.
        fault = "" if killed else self._output.last_error()
        self._output.close()
        symptom = f"{symptom}, {state}{'; killed from outside, perhaps for memory' if killed else ''}"
        return ExitSummary(symptom, fault, killed)

    def end(self) -> None:
        """End all of its processes, and return when its memory is free. Raises `SamplerError` if some do not end."""
        self._end_processes()
        self._output.close()

    def _end_processes(self) -> None:
        if self._llm is not None:
            self._llm.shutdown()
            # No reference may stay: vLLM's own clean-up fails when the interpreter ends.
            self._llm = None
        for process in self._processes:
            _end(process)
        _wait_for(self._workers)
        for worker in self._workers:
            worker.kill()
        _wait_for(self._workers)
        left = [str(worker.pid) for worker in self._workers if worker.alive]
        if left:
            message = (
                f"processes of vLLM's engine do not end ({', '.join(left)}); they hold memory that a new one would need"
            )
            raise SamplerError(message)
        self._watchdog.dismiss()


class _ChildMonitor:
    """Names the children of a starting engine to a watchdog, and kills them if the start is given up."""

    def __init__(self, closing: threading.Event) -> None:
        self._before = set(multiprocessing.active_children())
        self._closing = closing
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._monitor, name="vllm-start", daemon=True)
        self.watchdog = Watchdog()

    def __enter__(self) -> _ChildMonitor:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def children(self) -> list[BaseProcess]:
        return list(set(multiprocessing.active_children()) - self._before)

    def _monitor(self) -> None:
        known: set[int] = set()
        last = False
        while not last:
            last = self._done.wait(0.1)
            for child in self.children():
                if child.pid is not None and child.pid not in known:
                    known.add(child.pid)
                    if (process := Process.of(child.pid)) is not None:
                        self.watchdog.watch(process)
                if self._closing.is_set() and not last:
                    child.kill()


def _end(process: BaseProcess) -> None:
    """Wait for a process to end, and kill it if it does not."""
    process.join(_EXIT_WAIT)
    if process.is_alive():
        process.kill()
        process.join(_EXIT_WAIT)


def _wait_for(workers: Sequence[Process]) -> None:
    """Wait until these have ended, for `_EXIT_WAIT` seconds at most."""
    deadline = time.monotonic() + _EXIT_WAIT
    while any(worker.alive for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
