"""vLLM's own engine: its core in a process of its own, its front end here, no HTTP between."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from swerl_eval.core.answers.marks import THINK_START
from swerl_eval.core.errors import SamplerError, UsageError
from swerl_eval.core.types import Completion, Message, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens, SamplerSettings, unheard
from swerl_eval.samplers.vllm.cpu_platform import for_platform
from swerl_eval.samplers.vllm.engine_process import Engine, EngineDiedError, Figures
from swerl_eval.samplers.vllm.engine_settings import INSTALL, EngineSettings, imported, installed, reason
from swerl_eval.samplers.vllm.engine_types import Output, Part, Tokenizer
from swerl_eval.samplers.vllm.exit_summary import Death, Restarts

_GREEDY = 1e-5
"""vLLM takes a lower temperature for zero, and refuses n > 1 there."""

ENGINE_EXIT_WAIT = 10
"""Seconds from a request that was broken off to the death of its engine, at most."""

_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
_LOG = logging.getLogger(__name__)


class VllmSampler:
    """Draws answers from a model in vLLM's async engine (a `ports.Sampler`).

    `model` is a folder or hub id; `engine` holds settings by the names of vLLM's `AsyncEngineArgs` (`dtype`,
    `max_model_len`, `tensor_parallel_size`, …), and ours beside them: `lora`, `chat_template_kwargs`, `restarts`. The
    engine starts with the first request, off the event loop; it stays with that loop until `aclose`.

    Where the chat template itself opens the thinking, answers begin with its `<think>`, as the whole of them is read.

    A prompt that leaves no room in the context is never sent: its completions carry the error `context_length: …`.

    An engine that dies (killed, out of memory, broken) is started anew once nothing of the old one is left, and the
    requests that it had not finished are sent again with their seeds, so that the answers are what they would have
    been. Starts and deaths are told to `say`. After `restarts` further starts, where one dies of the same again before
    it has answered anything, and where there is no first one, there is a `SamplerError` for this request and all later
    ones, with the engine's own last error where that can be read back. A setting that the engine does not have is a
    `UsageError`. What does not work on a CPU by vLLM's defaults is set otherwise there, and told.
    """

    recorded = False

    def __init__(self, model: str, engine: Mapping[str, Any], say: Callable[[str], None] = _LOG.warning) -> None:
        if not installed():
            message = f"the vllm sampler needs vLLM, which is not installed here: {INSTALL}"
            raise UsageError(message)
        self._model = model
        self._settings = EngineSettings.read(engine)
        self._say = say
        self._starting: asyncio.Future[Engine] | None = None
        self._closing = threading.Event()
        self._restarts = Restarts(model, self._settings.restarts)
        self._figures = Figures()
        # One thread: a tokenizer is not to be used by two at a time, and starting takes minutes.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vllm")
        self._counter: Tokenizer | None = None
        self._counting = threading.Lock()
        self._numbers = itertools.count()

    @classmethod
    def open(cls, settings: SamplerSettings) -> VllmSampler:
        """Needs `model`; `engine` and `say` are handed on."""
        if not settings.model:
            message = "the vllm sampler needs --model, a folder or a hub id"
            raise UsageError(message)
        return cls(settings.model, settings.engine, settings.say)

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = unheard
    ) -> list[Completion]:
        """One engine request for all n; answer k has seed + k. A greedy answer is drawn once and repeated."""
        while True:
            engine = await self._started()
            try:
                return await self._ask(engine, request, on_tokens, on_answer)
            except EngineDiedError as death:
                self._replace(engine, str(death))

    def count_tokens(self, text: str) -> int:
        """Length by the model's own tokenizer, special tokens of the prompt's frame not counted."""
        with self._counting:
            return len(self._own_tokenizer().encode(_valid(text), add_special_tokens=False, verbose=False))

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """Length of a whole prompt, as it would be sent."""
        with self._counting:
            return len(self._prompt(self._own_tokenizer(), messages)[0])

    def figures(self) -> dict[str, int]:
        """What the engine has counted so far; a request that was sent again counts again.

        `prompt_tokens` of all answers (a prompt with n answers n times), `prompt_tokens_computed` of them, the others
        having been in the prefix cache, and `engine_restarts`.
        """
        return {
            "prompt_tokens": self._figures.prompt_tokens,
            "prompt_tokens_computed": self._figures.prompt_tokens_computed,
            "engine_restarts": len(self._restarts.deaths),
        }

    async def aclose(self) -> None:
        """End the engine's processes, also those of one that is still starting."""
        self._closing.set()
        if self._starting is not None:
            await asyncio.wait([self._starting])
            if self._starting.exception() is None:
                # On the loop: beside it, vLLM would see its core end and tell of a failure.
                self._starting.result().end()
        self._thread.shutdown(wait=False)

    async def _started(self) -> Engine:
        """The engine, started once. A caller that gives up waiting does not stop the start for the others."""
        if self._closing.is_set():
            message = f"vLLM with {self._model} was closed"
            raise SamplerError(message)
        if self._starting is None:
            self._say(f"vLLM is starting with {self._model}")
            self._starting = self._in_thread(self._start, asyncio.get_running_loop())
        return await asyncio.shield(self._starting)

    def _start(self, loop: asyncio.AbstractEventLoop) -> Engine:
        begun = time.monotonic()
        settings, told = for_platform(self._model, self._settings.arguments)
        if told:
            loop.call_soon_threadsafe(self._say, told)
        engine = Engine.start(self._model, settings, self._figures, self._closing)
        loop.call_soon_threadsafe(self._say, f"vLLM is ready after {time.monotonic() - begun:.0f} s")
        return engine

    def _replace(self, engine: Engine, symptom: str) -> None:
        """See to it that a new engine starts in the place of a dead one: the first caller does, for all."""
        starting = self._starting
        if starting is not None and starting.done() and not starting.exception() and starting.result() is engine:
            self._starting = self._in_thread(self._restart, engine, symptom, asyncio.get_running_loop())

    def _restart(self, engine: Engine, symptom: str, loop: asyncio.AbstractEventLoop) -> Engine:
        at_once = not engine.answered
        death = engine.bury(symptom)
        while not self._closing.is_set():
            loop.call_soon_threadsafe(self._say, self._restarts.add(death, at_once=at_once))
            try:
                return self._start(loop)
            except SamplerError as error:
                death, at_once = Death("", str(error)), True
        message = f"vLLM with {self._model} was closed"
        raise SamplerError(message)

    def _in_thread(self, work: Any, *arguments: Any) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _ask(
        self, engine: Engine, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer
    ) -> list[Completion]:
        prompt, opening = await self._in_thread(self._prompt, engine.llm.get_tokenizer(), request.messages)
        context = engine.llm.model_config.max_model_len
        if len(prompt) >= context:
            error = f"context_length: the prompt has {len(prompt)} tokens, max_model_len is {context}"
            return [Completion("", "error", len(prompt), error=error)] * request.n
        greedy = request.temperature < _GREEDY
        answers = [_Answer([opening]) for _ in range(1 if greedy else request.n)]
        settings = {
            "n": len(answers),
            "seed": request.seed,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": min(request.max_tokens, context - len(prompt)),
        }
        name = f"{request.instance_id}-{request.stage}-{next(self._numbers)}"
        async with aclosing(self._outputs(engine, prompt, settings, name, request.priority)) as outputs:
            async for output in outputs:
                on_tokens(sum([answers[part.index].add(part) for part in output.outputs]))
                for part in output.outputs:
                    engine.answered |= answers[part.index].whole
                    if part.finish_reason and answers[part.index].whole and not greedy:
                        on_answer(part.index, answers[part.index].completion(len(prompt)))
        if not all(answer.whole for answer in answers):
            await self._broken_off(engine, name)
        completions = [answer.completion(len(prompt)) for answer in answers]
        return completions * request.n if greedy else completions

    async def _broken_off(self, engine: Engine, name: str) -> None:
        """An engine that is told to end breaks its requests off first, so its death may be some seconds away."""
        for _ in range(ENGINE_EXIT_WAIT):
            if engine.dead:
                message = "requests broken off"
                raise EngineDiedError(message)
            await asyncio.sleep(1)
        message = f"vLLM with {self._model} broke an answer to {name} off, and goes on"
        raise SamplerError(message)

    def _prompt(self, tokenizer: Tokenizer, messages: Sequence[Message]) -> tuple[list[int], str]:
        """Tokens of the messages in the model's chat template, ready for the answer; and what of it that has begun."""
        chat = [{"role": message.role, "content": _valid(message.content)} for message in messages]
        try:
            # in two steps: with tokenize=True the result's type depends on the version of transformers
            text = tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, tokenize=False, **self._settings.template
            )
            # an answer cut within its thinking has no other sign of it
            opening = f"{THINK_START}\n" if text.rstrip().endswith(THINK_START) else ""
            return list(tokenizer.encode(text, add_special_tokens=False)), opening
        except Exception as error:
            message = f"the chat template of {self._model} does not take the prompt: {reason(error)}"
            raise SamplerError(message) from error

    async def _outputs(
        self, engine: Engine, prompt: list[int], settings: dict[str, Any], name: str, priority: int
    ) -> AsyncGenerator[Output, None]:
        """What the engine sends, in pieces. Closing or cancelling this ends the request in the engine."""
        sampling = imported("vllm.sampling_params")
        adapter = self._settings.lora
        # with its type told, as vLLM's own renderer hands it over; without, it is deprecated
        tokens = {"type": "token", "prompt_token_ids": prompt}
        try:
            parameters = sampling.SamplingParams(**settings, output_kind=sampling.RequestOutputKind.DELTA)
            lora = imported("vllm.lora.request").LoRARequest(adapter.name, 1, adapter.path) if adapter else None
            drawn = engine.llm.generate(tokens, parameters, name, lora_request=lora, priority=priority)
            async with aclosing(drawn) as outputs:
                async for output in outputs:
                    yield output
        except Exception as error:
            if engine.dead:
                raise EngineDiedError(type(error).__name__) from error
            message = f"vLLM with {self._model} gives no answer to {name}: {reason(error)}"
            raise SamplerError(message) from error

    def _own_tokenizer(self) -> Tokenizer:
        """For counting; needs no engine."""
        if self._counter is None:
            self._counter = self._load_counter()
        return self._counter

    def _load_counter(self) -> Tokenizer:
        settings = self._settings.arguments
        try:
            tokenizer: Tokenizer = imported("transformers").AutoTokenizer.from_pretrained(
                settings.get("tokenizer") or self._model,
                revision=settings.get("tokenizer_revision") or settings.get("revision"),
                cache_dir=settings.get("download_dir"),
                trust_remote_code=settings.get("trust_remote_code", False),
            )
        except (OSError, ValueError) as error:
            message = f"the tokenizer of {self._model} cannot be loaded: {reason(error)}"
            raise SamplerError(message) from error
        return tokenizer


@dataclass
class _Answer:
    """One answer as it arrives."""

    text: list[str]
    tokens: int = 0
    finish_reason: str | None = None

    def add(self, part: Part) -> int:
        """Take a piece; says how many tokens it brought."""
        self.text.append(part.text)
        self.tokens += len(part.token_ids)
        self.finish_reason = part.finish_reason or self.finish_reason
        return len(part.token_ids)

    @property
    def whole(self) -> bool:
        """Whether it ended as answers do."""
        return self.finish_reason in {"stop", "length"}

    def completion(self, prompt_tokens: int) -> Completion:
        """Of a whole answer."""
        return Completion("".join(self.text), self.finish_reason or "", prompt_tokens, self.tokens)


def _valid(text: str) -> str:
    """Bytes of a repository that are not UTF-8 come as lone surrogates, which no tokenizer takes."""
    return _LONE_SURROGATES.sub("\ufffd", text)
