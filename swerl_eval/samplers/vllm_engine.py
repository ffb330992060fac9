"""vLLM's own engine: its core in a process of its own, its front end here, no HTTP between."""

from __future__ import annotations

import asyncio
import difflib
import importlib
import importlib.util
import itertools
import re
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field, fields
from types import ModuleType
from typing import Any, Protocol

from swerl_eval.core.errors import SamplerError, SwerlEvalError, UsageError
from swerl_eval.core.types import Completion, Message, SampleRequest
from swerl_eval.ports import OnTokens, SamplerSettings

INSTALL = "pip install 'swerl-eval[vllm]'"

_GREEDY = 1e-5
"""vLLM takes a lower temperature for zero, and refuses n > 1 there."""

_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


class VllmSampler:
    """Draws answers from a model in vLLM's async engine (a `ports.Sampler`).

    `model` is a folder or hub id; `engine` holds settings by the names of vLLM's `AsyncEngineArgs` (`dtype`,
    `max_model_len`, `tensor_parallel_size`, …). The engine starts with the first request, off the event loop;
    it stays with that loop until `aclose`.

    A prompt that leaves no room in the context is never sent: its completions carry the error
    `context_length: …`. An engine that does not start, or that dies, is a `SamplerError` for this request and
    all later ones: nothing is restarted here. A setting that the engine does not have is a `UsageError`.
    """

    recorded = False

    def __init__(self, model: str, engine: Mapping[str, Any]) -> None:
        if importlib.util.find_spec("vllm") is None:
            message = f"the vllm sampler needs vLLM, which is not installed here: {INSTALL}"
            raise UsageError(message)
        self._model = model
        self._settings = dict(engine)
        self._starting: asyncio.Future[None] | None = None
        self._engine: _Engine | None = None
        # One thread: a tokenizer is not to be used by two at a time, and starting takes minutes.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vllm")
        self._counter: _Tokenizer | None = None
        self._counting = threading.Lock()
        self._numbers = itertools.count()

    @classmethod
    def open(cls, settings: SamplerSettings) -> VllmSampler:
        """Needs `model`; `engine` is handed on."""
        if not settings.model:
            message = "the vllm sampler needs --model, a folder or a hub id"
            raise UsageError(message)
        return cls(settings.model, settings.engine)

    async def sample(self, request: SampleRequest, on_tokens: OnTokens) -> list[Completion]:
        """One engine request for all n; answer k has seed + k. A greedy answer is drawn once and repeated."""
        engine = await self._started()
        prompt = await asyncio.get_running_loop().run_in_executor(
            self._thread, self._prompt, engine.get_tokenizer(), request.messages
        )
        context = engine.model_config.max_model_len
        if len(prompt) >= context:
            error = f"context_length: the prompt has {len(prompt)} tokens, max_model_len is {context}"
            return [Completion("", "error", len(prompt), error=error)] * request.n
        greedy = request.temperature < _GREEDY
        answers = [_Answer() for _ in range(1 if greedy else request.n)]
        settings = {
            "n": len(answers),
            "seed": request.seed,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": min(request.max_tokens, context - len(prompt)),
        }
        name = f"{request.instance_id}-{request.stage}-{next(self._numbers)}"
        async with aclosing(self._outputs(engine, prompt, settings, name)) as outputs:
            async for output in outputs:
                on_tokens(sum(answers[part.index].add(part) for part in output.outputs))
        completions = [answer.completion(len(prompt)) for answer in answers]
        return completions * request.n if greedy else completions

    def count_tokens(self, text: str) -> int:
        """Length by the model's own tokenizer, special tokens of the prompt's frame not counted."""
        with self._counting:
            if self._counter is None:
                self._counter = self._load_counter()
            return len(self._counter.encode(_valid(text), add_special_tokens=False, verbose=False))

    async def aclose(self) -> None:
        """End the engine's process."""
        if self._starting is not None:
            await asyncio.wait([self._starting])
        if self._engine is not None:
            self._engine.shutdown()
            # Nothing may hold it any longer: at the interpreter's end its own clean-up stumbles.
            self._engine = None
        self._thread.shutdown(wait=False)

    async def _started(self) -> _Engine:
        """The engine, started once. A caller that gives up waiting does not stop the start for the others."""
        if self._starting is None:
            self._starting = asyncio.get_running_loop().run_in_executor(self._thread, self._start)
        await asyncio.shield(self._starting)
        if self._engine is None:
            message = f"vLLM with {self._model} was closed"
            raise SamplerError(message)
        return self._engine

    def _start(self) -> None:
        arguments = _imported("vllm.engine.arg_utils").AsyncEngineArgs
        known = [item.name for item in fields(arguments) if item.name != "model"]
        for name in self._settings:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else "; it takes what AsyncEngineArgs of vLLM has"
                message = f"engine.{name} is no setting of vLLM's engine{hint}"
                raise UsageError(message)
        try:
            settings = arguments(model=self._model, **self._settings)
            # Kept in no local: errors that vLLM catches and stores on import hold the frame.
            self._engine = _imported("vllm.v1.engine.async_llm").AsyncLLM.from_engine_args(settings)
        except SwerlEvalError:
            raise
        except Exception as error:
            message = f"vLLM does not start with {self._model}: {_reason(error)}; its own messages say more"
            raise SamplerError(message) from error

    def _prompt(self, tokenizer: _Tokenizer, messages: Sequence[Message]) -> list[int]:
        """Tokens of the messages in the model's chat template, ready for the answer."""
        chat = [{"role": message.role, "content": _valid(message.content)} for message in messages]
        try:
            # in two steps: with tokenize=True the result's type depends on the version of transformers
            text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
            return list(tokenizer.encode(text, add_special_tokens=False))
        except Exception as error:
            message = f"the chat template of {self._model} does not take the prompt: {_reason(error)}"
            raise SamplerError(message) from error

    async def _outputs(
        self, engine: _Engine, prompt: list[int], settings: dict[str, Any], name: str
    ) -> AsyncGenerator[_Output, None]:
        """What the engine sends, in pieces. Closing or cancelling this ends the request in the engine."""
        sampling = _imported("vllm.sampling_params")
        # with its type told, as vLLM's own renderer hands it over; without, it is deprecated
        tokens = {"type": "token", "prompt_token_ids": prompt}
        try:
            parameters = sampling.SamplingParams(**settings, output_kind=sampling.RequestOutputKind.DELTA)
            async with aclosing(engine.generate(tokens, parameters, name)) as outputs:
                async for output in outputs:
                    yield output
        except Exception as error:
            message = f"vLLM with {self._model} gives no answer to {name}: {_reason(error)}"
            raise SamplerError(message) from error

    def _load_counter(self) -> _Tokenizer:
        settings = self._settings
        try:
            tokenizer: _Tokenizer = _imported("transformers").AutoTokenizer.from_pretrained(
                settings.get("tokenizer") or self._model,
                revision=settings.get("tokenizer_revision") or settings.get("revision"),
                cache_dir=settings.get("download_dir"),
                trust_remote_code=settings.get("trust_remote_code", False),
            )
        except (OSError, ValueError) as error:
            message = f"the tokenizer of {self._model} cannot be loaded: {_reason(error)}"
            raise SamplerError(message) from error
        return tokenizer


@dataclass
class _Answer:
    """One answer as it arrives."""

    text: list[str] = field(default_factory=list)
    tokens: int = 0
    finish_reason: str | None = None

    def add(self, part: _Part) -> int:
        """Take a piece; says how many tokens it brought."""
        self.text.append(part.text)
        self.tokens += len(part.token_ids)
        self.finish_reason = part.finish_reason or self.finish_reason
        return len(part.token_ids)

    def completion(self, prompt_tokens: int) -> Completion:
        if self.finish_reason not in {"stop", "length"}:
            message = f"vLLM broke an answer off ({self.finish_reason})"
            raise SamplerError(message)
        return Completion("".join(self.text), self.finish_reason, prompt_tokens, self.tokens)


def _imported(module: str) -> ModuleType:
    """A module of vLLM or of what comes with it, imported on first use: it takes seconds."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # a torchvision of another build, say, is a RuntimeError
        message = f"{module} cannot be imported: {_reason(error)}; install vLLM with {INSTALL}"
        raise UsageError(message) from error


def _valid(text: str) -> str:
    """Bytes of a repository that are not UTF-8 come as lone surrogates, which no tokenizer takes."""
    return _LONE_SURROGATES.sub("\ufffd", text)


def _reason(error: BaseException) -> str:
    """On one line; vLLM's go over many."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


class _Engine(Protocol):
    """What is used of `vllm.v1.engine.async_llm.AsyncLLM`; the same in vLLM 0.20, 0.32 and 0.33."""

    model_config: Any

    def generate(
        self, prompt: dict[str, Any], sampling_params: object, request_id: str
    ) -> AsyncGenerator[_Output, None]: ...

    def get_tokenizer(self) -> _Tokenizer: ...

    def shutdown(self) -> None: ...


class _Tokenizer(Protocol):
    def apply_chat_template(self, conversation: list[dict[str, str]], **options: bool) -> str: ...

    def encode(self, text: str, **options: bool) -> list[int]: ...


class _Output(Protocol):
    """Of a request with n > 1, the pieces of any number of its answers."""

    outputs: list[_Part]


class _Part(Protocol):
    index: int
    text: str
    token_ids: Sequence[int]
    finish_reason: str | None
