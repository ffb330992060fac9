"""Reads the text of an answer as a trainer passes it, with its thinking in front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swerl_eval.core.answers.solution import put_back

Answer = str | Sequence[Mapping[str, Any]]
"""Text, or the chat messages that the model added."""

_THINKING_FIELDS = ("reasoning", "reasoning_content", "thinking")
"""Fields of a message that hold the thinking which a server or a chat template took out of the content."""
_THINKING_PARTS = ("thinking", "reasoning")
"""Types of the parts of a content that hold thinking."""


def text_of(answer: Answer, opening: str = "") -> str:
    """Return what the model wrote, thinking and answer.

    Args:
        answer: Text, or the messages of a chat.
        opening: Text to put in front, for a chat template that ends the prompt with `<think>`. It is not used where
            the thinking is apart from the text, since its opening tag is put back with it.
    """
    if isinstance(answer, str):
        return opening + answer
    messages = [message for message in answer or () if isinstance(message, Mapping)]
    # tool results and the like are not the model's words
    parts = [_text_and_thinking(message) for message in messages if message.get("role", "assistant") == "assistant"]
    whole = "".join(put_back(thinking) + text if thinking else text for text, thinking in parts)
    begins_with_thinking = next((bool(thinking) for text, thinking in parts if text or thinking), False)
    return whole if begins_with_thinking else opening + whole


def _text_and_thinking(message: Mapping[str, Any]) -> tuple[str, str]:
    content = message.get("content")
    parts = content if isinstance(content, Sequence) and not isinstance(content, str) else [content]
    text = "".join(_text(part) for part in parts if not _is_thinking(part))
    named = next((message[name] for name in _THINKING_FIELDS if message.get(name)), None)
    thinking = _text(named) if named else "".join(_text(part) for part in parts if _is_thinking(part))
    return text, thinking


def _is_thinking(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in _THINKING_PARTS


def _text(value: Any) -> str:
    """Return the text of a part, under whichever of the usual names; a part may be a list of parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        names = ("text", *_THINKING_PARTS, "content", "summary")
        return next((text for name in names if (text := _text(value.get(name)))), "")
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return "".join(map(_text, value))
    return ""
