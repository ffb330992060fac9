"""Sample with vLLM's own engine: its core in a process of its own, its front end in this one, no HTTP between."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from swerl_eval.core.answers.marks import THINK_START
from swerl_eval.core.errors import SamplerError, UsageError
from swerl_eval.core.types import Completion, Message, SampleRequest
from swerl_eval.ports import Notify, OnAnswer, OnTokens, SamplerSettings, ignore
from swerl_eval.samplers.vllm.engine_process import Engine, EngineDiedError
from swerl_eval.samplers.vllm.engine_settings import INSTALL, EngineSettings, imported, installed, reason
from swerl_eval.samplers.vllm.engine_types import Output, Part, Tokenizer
from swerl_eval.samplers.vllm.supervisor import EngineSupervisor

_GREEDY = 1e-5
"""vLLM takes a lower temperature for zero, and refuses n > 1 there."""
ENGINE_EXIT_WAIT = 10
"""Seconds from a request that was broken off to the death of its engine, at most."""
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
_LOG = logging.getLogger(__name__)


class VllmSampler:
    """Samples from a model in vLLM's async engine (a `ports.Sampler`).

    The engine starts with the first request, off the event loop, and belongs to that loop until `aclose`.

    A prompt that leaves no room in the context is not sent: its completions have the error `context_length: …`. If the
    chat template itself opens the thinking, answers begin with its `<think>`.

    An engine that dies (killed, out of memory, broken) is replaced once none of its processes is left. Unfinished
    requests are sent again with their seeds, so the answers are the same. After `engine.restarts` restarts, or if an
    engine dies at once of the same cause again, this request and all later ones raise `SamplerError`.

    On a CPU, some of vLLM's defaults are replaced (`cpu_platform.py`).

    Args:
        model: A folder, or a hub id.
        engine: Settings by the names of vLLM's `AsyncEngineArgs` (`dtype`, `max_model_len`, `tensor_parallel_size`, …),
            and this package's `lora`, `chat_template_kwargs` and `restarts`.
        notify: Called when an engine starts, is ready, or dies.

    Raises:
        UsageError: vLLM is not installed, or a setting is wrong.
    """

    recorded = False

    def __init__(self, model: str, engine: Mapping[str, Any], notify: Notify = _LOG.warning) -> None:
        if not installed():
            message = f"the vllm sampler needs vLLM, which is not installed here: {INSTALL}"
            raise UsageError(message)
        self._model = model
        self._settings = EngineSettings.read(engine)
        self._supervisor = EngineSupervisor(model, self._settings, notify)
        # One thread: the engine's tokenizer must not be used by two at a time.
        self._tokenizer_thread = ThreadPoolExecutor(1, thread_name_prefix="vllm-tokenizer")
        self._counter: Tokenizer | None = None
        """A tokenizer of its own for counting, which needs no engine."""
        self._counter_lock = threading.Lock()
        self._numbers = itertools.count()

    @classmethod
    def open(cls, settings: SamplerSettings) -> VllmSampler:
        """Take `model`, `engine` and `notify`. Raises `UsageError` without a model or without vLLM."""
        if not settings.model:
            message = "the vllm sampler needs --model, a folder or a hub id"
            raise UsageError(message)
        return cls(settings.model, settings.engine, settings.notify)

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        """Send one engine request for all n answers. A greedy answer is sampled once and returned n times.

        Raises:
            SamplerError: The engine does not start or may not be restarted, or the prompt does not fit the template.
            UsageError: vLLM has no such setting.
        """
        while True:
            engine = await self._supervisor.engine()
            try:
                return await self._ask(engine, request, on_tokens, on_answer)
            except EngineDiedError as error:
                self._supervisor.replace(engine, str(error))

    def count_tokens(self, text: str) -> int:
        """Length of a text in tokens of the model's tokenizer, without special tokens. Needs no engine.

        Raises:
            SamplerError: The tokenizer cannot be loaded.
        """
        with self._counter_lock:
            return len(self._counting_tokenizer().encode(_valid(text), add_special_tokens=False, verbose=False))

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """Length of a whole prompt in tokens, as it would be sent. Needs no engine. Raises as `count_tokens` does."""
        with self._counter_lock:
            return len(self._encode_prompt(self._counting_tokenizer(), messages)[0])

    def stats(self) -> dict[str, int]:
        """Return what all engines of this sampler have counted. A request that was sent again counts again.

        Returns:
            `prompt_tokens` of all answers (a prompt with n answers n times); `prompt_tokens_computed` of these, since
            the others were in the prefix cache; `engine_restarts`.
        """
        return {
            "prompt_tokens": self._supervisor.stats.prompt_tokens,
            "prompt_tokens_computed": self._supervisor.stats.prompt_tokens_computed,
            "engine_restarts": self._supervisor.restarts,
        }

    async def aclose(self) -> None:
        """End the engine's processes, also those of an engine that is still starting."""
        await self._supervisor.aclose()
        self._tokenizer_thread.shutdown(wait=False)

    async def _ask(
        self, engine: Engine, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer
    ) -> list[Completion]:
        """Sample with this engine. Raises `EngineDiedError` if it dies before the end."""
        prompt, opening = await asyncio.get_running_loop().run_in_executor(
            self._tokenizer_thread, self._encode_prompt, engine.llm.get_tokenizer(), request.messages
        )
        context = engine.llm.model_config.max_model_len
        if len(prompt) >= context:
            error = f"context_length: the prompt has {len(prompt)} tokens, max_model_len is {context}"
            return [Completion("", "error", len(prompt), error=error)] * request.n
        greedy = request.temperature < _GREEDY
        answers = [_Answer([opening]) for _ in range(1 if greedy else request.n)]
        parameters = {
            "n": len(answers),
            "seed": request.seed,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": min(request.max_tokens, context - len(prompt)),
        }
        name = f"{request.instance_id}-{request.stage}-{next(self._numbers)}"
        async with aclosing(self._outputs(engine, prompt, parameters, name, request.priority)) as outputs:
            async for output in outputs:
                on_tokens(sum([answers[part.index].add(part) for part in output.outputs]))
                for part in output.outputs:
                    answer = answers[part.index]
                    engine.answered |= answer.finished
                    if part.finish_reason and answer.finished and not greedy:
                        on_answer(part.index, answer.completion(len(prompt)))
        if not all(answer.finished for answer in answers):
            await self._wait_for_death(engine, name)
        completions = [answer.completion(len(prompt)) for answer in answers]
        return completions * request.n if greedy else completions

    async def _outputs(
        self, engine: Engine, prompt: list[int], parameters: dict[str, Any], name: str, priority: int
    ) -> AsyncGenerator[Output, None]:
        """Yield what the engine sends for a request, in parts. Closing or cancelling this ends the request there."""
        sampling = imported("vllm.sampling_params")
        adapter = self._settings.lora
        # with its type, as vLLM's own renderer hands it over; vLLM deprecates prompts without one
        tokens = {"type": "token", "prompt_token_ids": prompt}
        try:
            sampling_params = sampling.SamplingParams(**parameters, output_kind=sampling.RequestOutputKind.DELTA)
            lora = imported("vllm.lora.request").LoRARequest(adapter.name, 1, adapter.path) if adapter else None
            generator = engine.llm.generate(tokens, sampling_params, name, lora_request=lora, priority=priority)
            async with aclosing(generator) as outputs:
                async for output in outputs:
                    yield output
        except Exception as error:
            if engine.is_dead:
                raise EngineDiedError(type(error).__name__) from error
            message = f"vLLM with {self._model} gives no answer to {name}: {reason(error)}"
            raise SamplerError(message) from error

    async def _wait_for_death(self, engine: Engine, name: str) -> None:
        """Raise `EngineDiedError` when the engine is dead; `SamplerError` if it lives on.

        An engine that is told to end breaks off its requests first, so its death may be seconds away.
        """
        for _ in range(ENGINE_EXIT_WAIT):
            if engine.is_dead:
                message = "requests broken off"
                raise EngineDiedError(message)
            await asyncio.sleep(1)
        message = f"vLLM with {self._model} broke an answer to {name} off, and goes on"
        raise SamplerError(message)

    def _encode_prompt(self, tokenizer: Tokenizer, messages: Sequence[Message]) -> tuple[list[int], str]:
        """Put the messages in the model's chat template.

        Returns:
            The tokens, up to where the answer begins, and the part of the answer that the template has begun.
        """
        chat = [{"role": message.role, "content": _valid(message.content)} for message in messages]
        try:
            # in two steps: with tokenize=True the result's type depends on the version of transformers
            text = tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, tokenize=False, **self._settings.template
            )
            # nothing else shows that an answer was cut within its thinking
            opening = f"{THINK_START}\n" if text.rstrip().endswith(THINK_START) else ""
            return list(tokenizer.encode(text, add_special_tokens=False)), opening
        except Exception as error:
            message = f"the chat template of {self._model} does not take the prompt: {reason(error)}"
            raise SamplerError(message) from error

    def _counting_tokenizer(self) -> Tokenizer:
        if self._counter is None:
            self._counter = self._load_tokenizer()
        return self._counter

    def _load_tokenizer(self) -> Tokenizer:
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
        """Add a part. Returns the number of its tokens."""
        self.text.append(part.text)
        self.tokens += len(part.token_ids)
        self.finish_reason = part.finish_reason or self.finish_reason
        return len(part.token_ids)

    @property
    def finished(self) -> bool:
        """Whether the answer is whole. An answer that was broken off has another finish reason."""
        return self.finish_reason in {"stop", "length"}

    def completion(self, prompt_tokens: int) -> Completion:
        """Return the finished answer."""
        return Completion("".join(self.text), self.finish_reason or "", prompt_tokens, self.tokens)


def _valid(text: str) -> str:
    """Replace lone surrogates, which stand for bytes of a repository that are not UTF-8: tokenizers refuse them."""
    return _LONE_SURROGATES.sub("\ufffd", text)
