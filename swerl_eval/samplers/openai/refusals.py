"""Read what servers say when they do not accept a request, whatever the layout of their error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MAX_DEPTH = 8
"""Levels of an error that are searched."""
_MAX_CHARACTERS = 500
_MESSAGES = (
    "message",
    "detail",
    "error",
    "errors",
    "msg",
    "error_message",
    "error_description",
    "description",
    "title",
)
"""Keys of the message for people, best first."""
_STATUSES = ("code", "status_code", "status", "http_status")
_REFUSING = re.compile(r"invalid_?request|invalid_?argument|bad_?request|context_length", re.IGNORECASE)
"""Types and codes of errors that mean status 400."""


@dataclass(frozen=True)
class Refusal:
    """A server's reply to a request that it does not accept."""

    status: int
    words: str
    parameters: frozenset[str] = frozenset()
    """Parameters that it names in keys of their own."""

    @classmethod
    def of(cls, status: int, body: Any) -> Refusal:
        """Read the body of a reply, parsed JSON or text."""
        return cls(status, words_of(body), frozenset(_parameters(body, _MAX_DEPTH)))

    def __str__(self) -> str:
        return f"{self.status} {self.words}"

    def names(self, parameter: str) -> bool:
        """Whether it is about this parameter: by a key of its own, or else by its words."""
        if self.parameters:
            return parameter in self.parameters
        return re.search(rf"(?<![\w\\]){re.escape(parameter)}(?!\w)", self.words) is not None

    @property
    def about_prompt(self) -> bool:
        """Whether the prompt is too long or not allowed, so that no parameter is the reason."""
        return _ABOUT_PROMPT.search(self.words) is not None

    @property
    def about_size(self) -> bool:
        """Whether a value is too large, so that the parameter itself is known."""
        return _ABOUT_SIZE.search(self.words) is not None

    def remedy(self) -> str:
        """Return what the user can do if a server refuses everything with these words; empty if unknown."""
        text = str(self)
        return next((remedy for pattern, remedy in _REMEDIES if pattern.search(text)), "")


def _words(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_ABOUT_PROMPT = _words(
    r"context[ _](length|window|size)|(prompt|input|messages?) (is|are|was|were) (too|longer)|too many (input )?tokens"
    r"|(prompt|input) has \d+ tokens|reduce the length|content[ _](filter|policy|management)|flagged|moderation"
)
_ABOUT_SIZE = _words(
    r"too (large|high|big|long|many|great)|exceed|at most|maximum|up to|(less|greater|more|larger) than"
)
_REMEDIES = (
    (_words(r"system.{0,20}(role|message|prompt)|role.{0,20}system"), "-c thinking=false leaves that message out"),
    (_words(r"^401|api.?key|credential|unauthori[sz]ed|authenticat"), "is OPENAI_API_KEY the key of this server?"),
    (_words(r"credit|quota|billing|balance|^402"), "the account at this server has to be topped up"),
    (_words(r"max_(completion_)?tokens"), "lower --max-tokens"),
    (_words(r"context[ _](length|window|size)|the context\b"), "give the server a longer context"),
    (_words(r"temperature"), "change --temperature"),
    (_words(r"\bmodel\b"), "is --model the name that the server knows it by?"),
    (_words(r"^404"), "is --base-url the server's address, with its /v1?"),
)  # fmt: skip
"""By patterns of status and words, the most certain first."""


def words_of(value: Any) -> str:
    """Return the message for people within an error, short and printable; the whole error if there is none."""
    words = _message(value, _MAX_DEPTH)
    if not words and value:
        words = value if isinstance(value, str) else _as_json(value)
    return printable(words, _MAX_CHARACTERS)


def printable(text: str | bytes, most: int) -> str:
    """Return at most `most` characters of a text on one line, without control characters."""
    if isinstance(text, bytes):
        text = text[: 4 * most].decode("utf-8", "replace")
    shown = "".join(character if character.isprintable() else " " for character in text[: 4 * most])
    shown = " ".join(shown.split())
    return shown if len(shown) <= most else f"{shown[:most]} …"


def status_of(error: Any, levels: int = 3) -> int | None:
    """Return the HTTP status that an error within a reply stands for; None if it does not say."""
    if not isinstance(error, dict) or not levels:
        return None
    for key in _STATUSES:
        code = error.get(key)
        if isinstance(code, int | str) and re.fullmatch(r"[1-5][0-9][0-9]", str(code)):
            return int(code)
    kinds = [error.get(key) for key in ("type", "code", "status")]
    if any(isinstance(kind, str) and _REFUSING.search(kind) for kind in kinds):
        return 400
    return status_of(error.get("error"), levels - 1)


def _message(value: Any, levels: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, (_message(item, levels - 1) for item in value[:5]))) if levels else ""
    if not isinstance(value, dict) or not levels:
        return ""
    words = next(filter(None, (_message(value.get(key), levels - 1) for key in _MESSAGES)), "")
    place = value.get("loc")
    if isinstance(place, list) and words:
        words = f"{'.'.join(str(part) for part in place[:_MAX_DEPTH])}: {words}"
    # a router puts the error of the server behind it here
    behind = value.get("metadata")
    raw = behind.get("raw") if isinstance(behind, dict) else None
    return f"{words}: {raw}" if isinstance(raw, str) and raw else words


def _parameters(value: Any, levels: int) -> Iterator[str]:
    """Yield the names under `param`, and the first of each `loc`. `input` repeats the request and is skipped."""
    if isinstance(value, list) and levels:
        for item in value:
            yield from _parameters(item, levels - 1)
    elif isinstance(value, dict) and levels:
        named = value.get("param")
        if isinstance(named, str) and named:
            yield from re.split(r"\W+", named)
        place = value.get("loc")
        names = [name for name in place if isinstance(name, str)] if isinstance(place, list) else []
        # written by pydantic: what follows the parameter is a place within it
        yield from [name for name in names if name != "body"][:1]
        for key in _MESSAGES:
            yield from _parameters(value.get(key), levels - 1)


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return ""
