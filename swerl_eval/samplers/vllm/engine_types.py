"""What is used of vLLM's engine, its outputs and its tokenizer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol


class Llm(Protocol):
    """What is used of `vllm.v1.engine.async_llm.AsyncLLM`; the same in vLLM 0.20, 0.32 and 0.33."""

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
        """What comes for a prompt of tokens."""
        ...

    def get_tokenizer(self) -> Tokenizer:
        """The model's."""
        ...

    def shutdown(self) -> None:
        """End the core, politely at first."""
        ...


class Tokenizer(Protocol):
    """What is used of a tokenizer of transformers."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> str:
        """The text of a prompt."""
        ...

    def encode(self, text: str, **options: bool) -> list[int]:
        """The tokens of a text."""
        ...


class Output(Protocol):
    """Of a request with n > 1, the pieces of any number of its answers."""

    outputs: list[Part]


class Part(Protocol):
    """A piece of one answer."""

    index: int
    text: str
    token_ids: Sequence[int]
    finish_reason: str | None
