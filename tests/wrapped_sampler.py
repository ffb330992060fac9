"""A sampler around another one, for tests that watch or change what is sampled."""

from __future__ import annotations

from swerl_eval.core.types import Completion, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens, Sampler, SamplerSettings, ignore


class WrappedSampler:
    """Passes everything on (a `ports.Sampler`). Tests override `sample`."""

    recorded = True

    def __init__(self, inner: Sampler) -> None:
        self.inner = inner

    @classmethod
    def open(cls, settings: SamplerSettings) -> WrappedSampler:
        message = "a wrapped sampler is made from another sampler"
        raise TypeError(message)

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        return await self.inner.sample(request, on_tokens, on_answer)

    def count_tokens(self, text: str) -> int:
        return self.inner.count_tokens(text)

    async def aclose(self) -> None:
        await self.inner.aclose()
