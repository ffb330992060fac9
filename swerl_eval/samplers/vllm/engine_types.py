"""Types for the parts of vLLM's engine, its outputs and its tokenizer that this package uses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol


class Llm(Protocol):
    """The part of `vllm.v1.engine.async_llm.AsyncLLM` that is used; the same in vLLM 0.20, 0.32 and 0.33."""

    model_config: Any
    errored: bool

    def generate(
        self,
        prompt: dict[str, Any],
        sampling_params: object,
        request_id: str,
        *,
        lora_request: object | None,
        priority: int,
    ) -> AsyncGenerator[Output, None]:
        """Send a prompt of tokens, and yield the outputs."""
        ...

    def get_tokenizer(self) -> Tokenizer:
        """Return the model's tokenizer."""
        ...

    def shutdown(self) -> None:
        """End the core process: by a signal to end, then by force."""
        ...


class Tokenizer(Protocol):
    """The part of a transformers tokenizer that is used."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> str:
        """Return the text of a prompt."""
        ...

    def encode(self, text: str, **options: bool) -> list[int]:
        """Return the tokens of a text."""
        ...


class Output(Protocol):
    """Parts of one or more answers of a request."""

    outputs: list[Part]


class Part(Protocol):
    """Part of one answer."""

    index: int
    text: str
    token_ids: Sequence[int]
    finish_reason: str | None
