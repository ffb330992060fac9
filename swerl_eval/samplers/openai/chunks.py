"""Read chat completion chunks, and whole chat completions, as servers really send them.

Servers differ in what a chunk lacks and in what they add. A missing delta, null choices, content as a list of parts, no
index, unknown keys: none of these is an error. Only what a server itself calls an error is one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from swerl_eval.samplers.openai.events import ReplyError
from swerl_eval.samplers.openai.refusals import status_of, words_of


class End(Enum):
    """How an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    FILTERED = "filtered"
    UNFINISHED = "unfinished"
    """The server gave up; the answer may be requested again."""


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
"""By finish reason in lower case; None: the answer goes on. Any other reason is a `STOP`."""


def end_of(finish_reason: Any) -> End | None:
    """Return how an answer ended, by the server's finish reason; None if it has not ended."""
    if not isinstance(finish_reason, str):
        return End.STOP if finish_reason else None
    return _ENDS.get(finish_reason.lower().replace("-", "_"), End.STOP)


class Update(NamedTuple):
    """What an event brought for one answer."""

    choice: int
    """Index of the answer, as the server counts."""
    has_text: bool
    """Whether the event has text or thinking of this answer."""


@dataclass
class PartialAnswer:
    """One answer as it arrives."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    end: End | None = None
    finish_reason: str = ""
    """As the server writes it."""
    pieces: int = 0
    """Number of chunks with text."""
    ends: int = 0
    """How often the server said that it ended."""
    overrun: bool = False
    """Whether text came after its end."""

    @property
    def finished(self) -> bool:
        """Whether the answer is whole."""
        return self.end is not None and self.end is not End.UNFINISHED

    def add(self, choice: dict[str, Any]) -> bool:
        """Add a choice of a chunk. Returns whether it had text."""
        text, reasoning = _text_of(choice)
        has_text = bool(text or reasoning)
        if has_text:
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
        return has_text


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of a request; None where the server does not say."""

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    """Of the prompt, those that were in the server's cache."""


@dataclass
class Reply:
    """What a server has replied to one request for `wanted` answers."""

    wanted: int
    answers: dict[int, PartialAnswer] = field(default_factory=dict)
    """By index, as the server counts."""
    tokens: TokenCounts = TokenCounts()
    remark: str = ""
    """Text of the last object that was neither answer nor count."""

    @property
    def ambiguous(self) -> bool:
        """Whether several answers came with one index, so that they cannot be told apart."""
        if self.wanted == 1:
            return False
        repeated = len(self.answers) < self.wanted and any(answer.ends > 1 for answer in self.answers.values())
        return repeated or any(answer.overrun for answer in self.answers.values())

    def place(self, index: int) -> int | None:
        """Return the place among the wanted answers of the one with this index; None if it was not asked for."""
        if self.wanted == 1 and len(self.answers) == 1:
            return 0  # some servers count from 1
        return index if 0 <= index < self.wanted else None

    def add(self, event: dict[str, Any]) -> list[Update]:
        """Add an event. Returns what it brought; raises `ReplyError` if it is an error."""
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
        updates = []
        for position, choice in enumerate(choices):
            if isinstance(choice, dict):
                index = _index(choice.get("index"), position)
                answer = self.answers.get(index)
                if answer is None:
                    answer = self.answers[index] = PartialAnswer()
                updates.append(Update(index, answer.add(choice)))
        return updates

    def add_whole(self, value: Any) -> list[Update]:
        """Add a reply that is one JSON value: its choices are whole answers. Raises `ReplyError` if it is an error."""
        values = value if isinstance(value, list) else [value]
        event = next((item for item in values if isinstance(item, dict)), {})
        choices = event.get("choices")
        choices = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
        if len({_index(choice.get("index"), 0) for choice in choices}) < len(choices):
            choices = [{**choice, "index": position} for position, choice in enumerate(choices)]
        updates = self.add({**event, "choices": choices} if choices else event)
        self.finish()
        return updates

    def finish(self) -> None:
        """Take the server's word that the reply is complete: answers with text and without finish reason are whole."""
        for answer in self.answers.values():
            if answer.end is None and answer.pieces:
                answer.end = End.STOP


def _index(value: Any, position: int) -> int:
    """Return an answer's index, or without one its place in the list of choices."""
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
"""Keys for thinking, of servers with a reasoning parser. If a server sends two of them, they have the same text."""
_TEXT = ("text", "content", "value", "refusal")


def _text_of(choice: dict[str, Any]) -> tuple[str, str]:
    """Return text and thinking of a choice."""
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
    thinking = _first(delta, _REASONING)
    if type(thinking) is str:
        reasoning += thinking
    elif thinking:
        reasoning += "".join(_of_parts(thinking, thinking=True))
    return text, reasoning


def _of_parts(content: Any, *, thinking: bool) -> tuple[str, str]:
    """Return text and thinking of content in parts, however deep these are nested."""
    text: list[str] = []
    reasoning: list[str] = []
    waiting = [(content, thinking)]
    while waiting:
        part, is_thinking = waiting.pop()
        if isinstance(part, str):
            (reasoning if is_thinking else text).append(part)
        elif isinstance(part, list):
            waiting.extend((item, is_thinking) for item in reversed(part))
        elif isinstance(part, dict):
            kind = part.get("type")
            is_thinking = is_thinking or (isinstance(kind, str) and ("think" in kind or "reason" in kind))
            waiting.extend([(_first(part, _TEXT), is_thinking), (_first(part, _REASONING), True)])
    return "".join(text), "".join(reasoning)


def _first(values: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first value under these names that is not empty, or None."""
    return next((values[name] for name in names if values.get(name)), None)
