"""The text of an answer that a trainer hands over, with its thinking in front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swerl_eval.core.answers.solution import put_back

Answer = str | Sequence[Mapping[str, Any]]
"""Text, or the chat messages that the model added."""

_THINKING_FIELDS = ("reasoning", "reasoning_content", "thinking")
"""A message's fields with the thinking that a server or a chat template took out of the content."""
_THINKING_PARTS = ("thinking", "reasoning")
"""Types of the parts of a content in which thinking stands."""


def text_of(answer: Answer, opening: str = "") -> str:
    """What the model wrote, thinking and answer.

    `opening` stands before it, for a chat template that ends the prompt with `<think>`; not where the thinking came
    apart from the text, since its opening tag is put back with it.
    """
    if isinstance(answer, str):
        return opening + answer
    messages = [message for message in answer or () if isinstance(message, Mapping)]
    # tool results and the like are not the model's words
    own = [_text_and_thinking(message) for message in messages if message.get("role", "assistant") == "assistant"]
    text = "".join(put_back(thinking) + said if thinking else said for said, thinking in own)
    first = next(((said, thinking) for said, thinking in own if said or thinking), ("", ""))
    return text if first[1] else opening + text


def _text_and_thinking(message: Mapping[str, Any]) -> tuple[str, str]:
    content = message.get("content")
    parts = content if isinstance(content, Sequence) and not isinstance(content, str) else [content]
    said = "".join(_words(part) for part in parts if not _is_thinking(part))
    named = next((message[name] for name in _THINKING_FIELDS if message.get(name)), None)
    thinking = _words(named) if named else "".join(_words(part) for part in parts if _is_thinking(part))
    return said, thinking


def _is_thinking(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in _THINKING_PARTS


def _words(value: Any) -> str:
    """The text of a part, whichever of the usual names it goes by; some are lists of parts again."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        names = ("text", *_THINKING_PARTS, "content", "summary")
        return next((words for name in names if (words := _words(value.get(name)))), "")
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return "".join(map(_words, value))
    return ""
