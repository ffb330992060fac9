"""Keeps secrets out of what a sampler says: a sampler around any other one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from swerl_eval.core.errors import SwerlEvalError, UsageError
from swerl_eval.core.secrets import Redactor
from swerl_eval.core.types import Completion, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens, Sampler, SamplerSettings, ignore

CERTAIN = 20
"""Characters of a secret that is replaced in answers too. A shorter one might be a word of the code."""


class RedactingSampler:
    """Passes everything on (a `ports.Sampler`), with secrets replaced in errors and answers.

    Servers repeat keys: in the error of a request, or in an answer that is an error in disguise.

    Args:
        inner: The sampler.
        secrets: What none of its errors may hold.
        lacking: Why no request can be sent; empty if requests can.
    """

    def __init__(self, inner: Sampler, secrets: frozenset[str], lacking: str = "") -> None:
        self.inner = inner
        self.recorded = inner.recorded
        self._lacking = lacking
        self._errors = Redactor(secrets)
        self._answers = Redactor(secrets, CERTAIN)

    @classmethod
    def open(cls, settings: SamplerSettings) -> RedactingSampler:
        """Not by its settings alone: it is made from another sampler."""
        del settings
        message = "a redacting sampler is made from another sampler"
        raise UsageError(message)

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        """Sample from the inner sampler. Raises what it raises, and `UsageError` where a secret is lacking."""
        if self._lacking:
            raise UsageError(self._lacking)

        def pass_on(place: int, completion: Completion) -> None:
            on_answer(place, self._redacted(completion))

        try:
            return [self._redacted(completion) for completion in await self.inner.sample(request, on_tokens, pass_on)]
        except SwerlEvalError as error:
            raise type(error)(self._errors(str(error))) from None

    def count_tokens(self, text: str) -> int:
        """The inner sampler's count."""
        return self.inner.count_tokens(text)

    async def aclose(self) -> None:
        """Close the inner sampler."""
        await self.inner.aclose()

    def __getattr__(self, name: str) -> Any:
        """The optional methods of samplers, where the inner one has them."""
        return getattr(self.inner, name)

    def _redacted(self, completion: Completion) -> Completion:
        """The completion itself where it holds no secret."""
        clean = replace(
            completion,
            text=self._answers(completion.text),
            reasoning=self._answers(completion.reasoning),
            error=self._errors(completion.error),
        )
        return completion if clean == completion else clean
