"""Keep one vLLM engine running for a sampler: start it when it is first needed, replace it when it dies."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from swerl_eval.core.errors import SamplerError
from swerl_eval.ports import Notify
from swerl_eval.samplers.vllm.cpu_platform import for_platform
from swerl_eval.samplers.vllm.engine_process import Engine, EngineStats
from swerl_eval.samplers.vllm.engine_settings import EngineSettings
from swerl_eval.samplers.vllm.exit_summary import ExitSummary, Restarts


class EngineSupervisor:
    """Starts and restarts the engine of one sampler, in a thread. For one event loop.

    Args:
        model: A folder, or a hub id.
        settings: The engine's settings.
        notify: Called, on the event loop, when an engine starts, is ready, or dies.
    """

    def __init__(self, model: str, settings: EngineSettings, notify: Notify) -> None:
        self._model = model
        self._settings = settings
        self._notify = notify
        self._restarts = Restarts(model, settings.restarts)
        self._engine: asyncio.Future[Engine] | None = None
        """The engine that runs or is being started."""
        self._closing = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vllm-engine")
        self.stats = EngineStats()

    @property
    def restarts(self) -> int:
        """How often a dead engine was replaced."""
        return len(self._restarts.exits)

    async def engine(self) -> Engine:
        """Return the engine; the first call starts it. Cancelling a call does not stop the start for the others.

        Raises:
            SamplerError: The engine does not start, or may not be started again.
            UsageError: vLLM has no such setting.
        """
        if self._closing.is_set():
            raise self._closed_error()
        if self._engine is None:
            self._notify(f"vLLM is starting with {self._model}")
            loop = asyncio.get_running_loop()
            self._engine = loop.run_in_executor(self._thread, self._start, loop)
        return await asyncio.shield(self._engine)

    def replace(self, engine: Engine, symptom: str) -> None:
        """Start a new engine in place of a dead one, unless another caller has done so.

        Args:
            engine: The dead one.
            symptom: What a request saw of the death.
        """
        current = self._engine
        if current is not None and current.done() and not current.exception() and current.result() is engine:
            loop = asyncio.get_running_loop()
            self._engine = loop.run_in_executor(self._thread, self._restart, engine, symptom, loop)

    async def aclose(self) -> None:
        """End the engine's processes, also those of an engine that is still starting."""
        self._closing.set()
        if self._engine is not None:
            await asyncio.wait([self._engine])
            if self._engine.exception() is None:
                # On the event loop: otherwise vLLM would see there that its core ends, and report a failure.
                self._engine.result().end()
        self._thread.shutdown(wait=False)

    def _start(self, loop: asyncio.AbstractEventLoop) -> Engine:
        begun = time.monotonic()
        arguments, note = for_platform(self._model, self._settings.arguments)
        if note:
            loop.call_soon_threadsafe(self._notify, note)
        engine = Engine.start(self._model, arguments, self.stats, self._closing)
        loop.call_soon_threadsafe(self._notify, f"vLLM is ready after {time.monotonic() - begun:.0f} s")
        return engine

    def _restart(self, engine: Engine, symptom: str, loop: asyncio.AbstractEventLoop) -> Engine:
        at_once = not engine.answered
        engine_exit = engine.end_dead(symptom)
        while not self._closing.is_set():
            loop.call_soon_threadsafe(self._notify, self._restarts.add(engine_exit, at_once=at_once))
            try:
                return self._start(loop)
            except SamplerError as error:
                engine_exit, at_once = ExitSummary("", str(error)), True
        raise self._closed_error()

    def _closed_error(self) -> SamplerError:
        return SamplerError(f"vLLM with {self._model} was closed")
