"""Any server that speaks OpenAI's chat completions: vLLM, SGLang, a hosted model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import openai
import tenacity

from swerl_eval.core.errors import SamplerError, UsageError
from swerl_eval.core.types import Completion, SampleRequest
from swerl_eval.ports import OnTokens, SamplerSettings
from swerl_eval.samplers import estimated_tokens

try:  # openai 3 brought its own successor of httpx; what it raises in mid-stream comes from whichever it uses
    import httpx2 as httpx
except ImportError:
    import httpx

ATTEMPTS = 6
LONGEST_PAUSE = 60.0
"""Seconds between two attempts, also where the server asks for more."""
REQUEST_TIMEOUT = 1800.0
"""Seconds without a single token. A server with a long queue may take its time before the first."""

_REFUSED = frozenset({400, 413, 422})
REQUEST_TIMED_OUT = 408
_PASSING = (
    openai.APIConnectionError,
    openai.RateLimitError,
    openai.InternalServerError,
    openai.ConflictError,
    httpx.TransportError,
)


def _passes(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    return isinstance(error, _PASSING) or getattr(error, "status_code", None) == REQUEST_TIMED_OUT


class OpenAISampler:
    """Streams answers from an OpenAI-compatible server (a `ports.Sampler`).

    Retried with growing pauses, never shorter than a `Retry-After`: lost connections, rate limits, 5xx. A refused
    prompt (400, 413, 422: too long, filtered) is a recorded failure of its samples. Anything else (key, model name)
    ends the run.
    """

    recorded = False

    def __init__(self, model: str, api_key: str, base_url: str | None, first_pause: float = 1.0) -> None:
        self._model = model
        self._client = openai.AsyncOpenAI(api_key=api_key, base_url=base_url, max_retries=0, timeout=REQUEST_TIMEOUT)
        growing = tenacity.wait_random_exponential(multiplier=first_pause, max=LONGEST_PAUSE)
        self._retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_passes),
            wait=lambda state: max(growing(state), _asked_pause(state)),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            reraise=True,
        )

    @classmethod
    def open(cls, settings: SamplerSettings) -> OpenAISampler:
        """Needs `model`; `base_url` None is the library's default."""
        if not settings.model:
            message = (
                "the openai sampler needs --model, as the server names it (and --base-url for a server of your own)"
            )
            raise UsageError(message)
        return cls(settings.model, settings.api_key, settings.base_url)

    async def sample(self, request: SampleRequest, on_tokens: OnTokens) -> list[Completion]:
        """One streamed request for all n; what a server that ignores n leaves out is asked for again."""
        completions: list[Completion] = []
        try:
            while len(completions) < request.n:
                completions += await self._retrying(self._stream, request, len(completions), on_tokens)
        except openai.APIStatusError as error:
            if error.status_code in _REFUSED:
                refused = Completion("", "error", error=f"refused: {_reason(error)}")
                return [*completions, *[refused] * (request.n - len(completions))]
            message = f"{self._client.base_url} refuses {self._model!r}: {_reason(error)}"
            raise SamplerError(message) from error
        except (openai.APIConnectionError, httpx.TransportError) as error:
            message = f"{self._client.base_url} cannot be reached after {ATTEMPTS} attempts: {error}; is the server up?"
            raise SamplerError(message) from error
        except openai.OpenAIError as error:
            message = f"{self._client.base_url}: {error}"
            raise SamplerError(message) from error
        return completions[: request.n]

    async def _stream(self, request: SampleRequest, done: int, on_tokens: OnTokens) -> list[Completion]:
        create: Any = self._client.chat.completions.create  # its overloads do not admit a role that is a variable
        stream = await create(
            model=self._model,
            messages=[{"role": message.role, "content": _valid(message.content)} for message in request.messages],
            n=request.n - done,
            temperature=request.temperature,
            top_p=request.top_p,
            max_tokens=request.max_tokens,
            seed=request.seed + done,
            stream=True,
            stream_options={"include_usage": True},
        )
        parts: dict[int, _Parts] = {}
        usage: Any = None
        async for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                part = parts.setdefault(choice.index, _Parts())
                if part.add(choice):
                    on_tokens(1)
        if not parts or not all(part.finish_reason for part in parts.values()):
            raise openai.APIConnectionError(message="the stream broke off", request=stream.response.request)
        prompt_tokens = usage.prompt_tokens if usage else None
        # usage counts all answers together; of one it says its own
        exact = usage.completion_tokens if usage and len(parts) == 1 else None
        return [parts[index].completion(prompt_tokens, exact) for index in sorted(parts)]

    def count_tokens(self, text: str) -> int:
        """An estimate; the server knows better and says so by refusing."""
        return estimated_tokens(text)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()


@dataclass
class _Parts:
    """One answer as it arrives."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    finish_reason: str = ""
    pieces: int = 0

    def add(self, choice: Any) -> bool:
        """Take a chunk; says whether it carried text."""
        delta = choice.delta
        text = delta.content or ""
        # servers with a reasoning parser send thinking under one of these names
        reasoning = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None) or ""
        self.text.append(text)
        self.reasoning.append(reasoning)
        self.finish_reason = choice.finish_reason or self.finish_reason
        carried = bool(text or reasoning)
        self.pieces += carried
        return carried

    def completion(self, prompt_tokens: int | None, completion_tokens: int | None) -> Completion:
        reason = "length" if self.finish_reason == "length" else "stop"
        if self.finish_reason == "content_filter":
            return Completion("", "error", prompt_tokens, completion_tokens, error="refused: filtered by the server")
        tokens = completion_tokens if completion_tokens is not None else self.pieces
        return Completion("".join(self.text), reason, prompt_tokens, tokens, "".join(self.reasoning))


def _valid(text: str) -> str:
    """Bytes of a repository that are not UTF-8 come as lone surrogates, which JSON in UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _asked_pause(state: tenacity.RetryCallState) -> float:
    """Seconds that the server asks to wait; 0 where it does not, or names a date."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.response.headers.get("retry-after", "") if isinstance(error, openai.APIStatusError) else ""
    return min(float(asked), LONGEST_PAUSE) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", asked) else 0.0


def _reason(error: openai.APIStatusError) -> str:
    return f"{error.status_code} {error.message}"[:500]
