"""Reads what is more or less a chat completion chunk, or a whole chat completion.

Servers differ in what a chunk lacks and in what stands beside. A missing delta, null choices, content as a list of
parts, no index, unknown keys: none of these is an error. What a server itself calls an error is one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from swerl_eval.samplers.openai.events import ReplyError
from swerl_eval.samplers.openai.refusals import status_of, words_of


class End(Enum):
    """How an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    FILTERED = "filtered"
    UNFINISHED = "unfinished"
    """The server gave up; the answer may be asked for again."""


_FILTERED_REASONS = (
    "blocklist", "content_filter", "content_filtered", "image_safety", "prohibited_content", "recitation", "safety",
    "sensitive", "spii",
)  # fmt: skip
_ENDS: dict[str, End | None] = {
    **dict.fromkeys(("", "null", "none", "finish_reason_unspecified"), None),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length"), End.LENGTH),
    **dict.fromkeys(_FILTERED_REASONS, End.FILTERED),
    # vLLM and SGLang; DeepSeek; Zhipu
    **dict.fromkeys(("abort", "error", "insufficient_system_resource", "network_error"), End.UNFINISHED),
}
"""Finish reasons in lower case; None: the answer goes on. Any other reason is a `STOP`."""


def end_of(finish_reason: Any) -> End | None:
    """How an answer ended, by the server's finish reason; None where it has not."""
    if not isinstance(finish_reason, str):
        return End.STOP if finish_reason else None
    return _ENDS.get(finish_reason.lower().replace("-", "_"), End.STOP)


@dataclass
class PartialAnswer:
    """One answer as it arrives."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    end: End | None = None
    finish_reason: str = ""
    """In the server's words."""
    pieces: int = 0
    """Chunks that carried text."""
    ends: int = 0
    """How often it was said to have ended."""
    overrun: bool = False
    """Text came after its end."""

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return self.end is not None and self.end is not End.UNFINISHED

    def add(self, choice: dict[str, Any]) -> bool:
        """Take a choice of a chunk; says whether it carried text."""
        text, reasoning = _said(choice)
        carried = bool(text or reasoning)
        if carried:
            self.overrun = self.overrun or self.ends > 0
            self.text.append(text)
            self.reasoning.append(reasoning)
            self.pieces += 1
        end = end_of(choice.get("finish_reason"))
        if end is None and choice.get("error"):
            end = End.UNFINISHED
        if end is not None:
            self.end = end
            self.ends += 1
            self.finish_reason = words_of(choice.get("error") or choice.get("finish_reason"))
        return carried


@dataclass(frozen=True)
class TokenCounts:
    """Of a request, as far as the server says."""

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None


@dataclass
class Reply:
    """What has come of one request for `wanted` answers."""

    wanted: int
    answers: dict[int, PartialAnswer] = field(default_factory=dict)
    """By their index."""
    tokens: TokenCounts = TokenCounts()
    remark: str = ""
    """The last object that was neither answer nor count, in words."""

    @property
    def ambiguous(self) -> bool:
        """Whether several answers came under one index, so that they cannot be told apart."""
        if self.wanted == 1:
            return False
        repeated = len(self.answers) < self.wanted and any(answer.ends > 1 for answer in self.answers.values())
        return repeated or any(answer.overrun for answer in self.answers.values())

    def place(self, index: int) -> int | None:
        """Which of the wanted answers the one under this index is; None for one that nobody asked for."""
        if self.wanted == 1 and len(self.answers) == 1:
            return 0  # some count from 1
        return index if 0 <= index < self.wanted else None

    def add(self, event: dict[str, Any]) -> list[tuple[int, bool]]:
        """Take an event: the indices that it is of, each with whether it carried text. Raises `ReplyError`."""
        if event.get("error") or event.get("object") == "error":
            raise ReplyError(words_of(event), status_of(event))
        usage = event.get("usage")
        if isinstance(usage, dict) and usage:
            self.tokens = _token_counts(usage)
        choices = event.get("choices")
        if not isinstance(choices, list):
            if not usage and "choices" not in event:
                self.remark = words_of(event)
            return []
        found = []
        for position, choice in enumerate(choices):
            if isinstance(choice, dict):
                index = _index(choice.get("index"), position)
                answer = self.answers.get(index)
                if answer is None:
                    answer = self.answers[index] = PartialAnswer()
                found.append((index, answer.add(choice)))
        return found

    def add_whole(self, value: Any) -> list[tuple[int, bool]]:
        """Take a reply that is one JSON value: its choices are whole answers. Raises `ReplyError`."""
        values = value if isinstance(value, list) else [value]
        event = next((each for each in values if isinstance(each, dict)), {})
        choices = event.get("choices")
        choices = [each for each in choices if isinstance(each, dict)] if isinstance(choices, list) else []
        if len({_index(choice.get("index"), 0) for choice in choices}) < len(choices):
            choices = [{**choice, "index": position} for position, choice in enumerate(choices)]
        found = self.add({**event, "choices": choices} if choices else event)
        self.finish()
        return found

    def finish(self) -> None:
        """The server says that all is said: answers that have text and no finish reason have ended in order."""
        for answer in self.answers.values():
            if answer.end is None and answer.pieces:
                answer.end = End.STOP


def _index(value: Any, position: int) -> int:
    """An answer's index; without one, its place in the list of choices."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if type(value) is int else position


def _token_counts(usage: dict[str, Any]) -> TokenCounts:
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return TokenCounts(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), _count(cached))


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


_REASONING = ("reasoning_content", "reasoning", "thinking")
"""Names under which servers with a reasoning parser send thinking; where there are two, they say the same."""
_TEXT = ("text", "content", "value", "refusal")


def _said(choice: dict[str, Any]) -> tuple[str, str]:
    """Text and thinking of a choice."""
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        delta = choice.get("message")
        if not isinstance(delta, dict):
            delta = {"content": choice.get("text")}
    text, reasoning = "", ""
    content = delta.get("content") or delta.get("refusal")
    if type(content) is str:
        text = content
    elif content:
        text, reasoning = _of_parts(content, thinking=False)
    apart: Any = None
    for name in _REASONING:
        if apart := delta.get(name):
            break
    if type(apart) is str:
        reasoning += apart
    elif apart:
        reasoning += "".join(_of_parts(apart, thinking=True))
    return text, reasoning


def _of_parts(content: Any, *, thinking: bool) -> tuple[str, str]:
    """Text and thinking of content in parts, however deep these are nested."""
    text: list[str] = []
    reasoning: list[str] = []
    waiting = [(content, thinking)]
    while waiting:
        part, is_thinking = waiting.pop()
        if isinstance(part, str):
            (reasoning if is_thinking else text).append(part)
        elif isinstance(part, list):
            waiting.extend((each, is_thinking) for each in reversed(part))
        elif isinstance(part, dict):
            kind = part.get("type")
            is_thinking = is_thinking or (isinstance(kind, str) and ("think" in kind or "reason" in kind))
            said = next((part[name] for name in _TEXT if part.get(name)), None)
            thought = next((part[name] for name in _REASONING if part.get(name)), None)
            waiting.extend([(said, is_thinking), (thought, True)])
    return "".join(text), "".join(reasoning)
