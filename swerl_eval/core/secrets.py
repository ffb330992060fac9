"""Finds secrets in settings and command lines, and takes known ones out of texts.

A secret in a setting is known by its place: the value of a name such as `api_key` or `HF_TOKEN` (in a table, before
`=`, after `--`), user and password in an address, what follows `Bearer`, and keys of a well-known shape. Records never
hold one: `redacted` replaces it in what is stored, and a `Redactor` replaces the same value in whatever a server, a
library or an error says.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

REDACTED = "<redacted>"
"""What stands in place of a secret."""
LEAST = 6
"""Characters of a secret that is replaced in other texts. Shorter ones ("none", "EMPTY") are words of their own."""

_SECRET_WORDS = frozenset(
    {
        "apikey", "apikeys", "auth", "authorization", "authtoken", "cookie", "credential", "credentials", "key",
        "passphrase", "passwd", "password", "pat", "pwd", "secret", "secrets", "sig", "signature", "token",
    }
)  # fmt: skip
"""Last words of names whose values are secrets."""
_HARMLESS = {
    "key": {"cache", "data", "foreign", "group", "partition", "primary", "public", "shard", "sort"},
    "token": {
        "audio", "begin", "bos", "cls", "end", "eos", "image", "input", "mask", "max", "next", "output", "pad",
        "per", "prompt", "sep", "special", "start", "stop", "think", "unk", "video",
    },
}  # fmt: skip
"""Words before them that make a name harmless: `cache_key`, `eos_token`."""
_NAME = r"[A-Za-z_][\w.-]*"
_QUOTED = r"\"[^\"]*\"|'[^']*'"
_ADDRESS = re.compile(r"(?<=://)(?:[^\s/?#\"'<>:]*:(?!\d+/)[^\s\"'<>]+|[^\s/?#\"'<>]+)(?=@)")
"""User and password. A password may hold what it should not, such as `/`; digits and `/` are a port."""
_QUERY = re.compile(rf"(?<=[?&#;])(?P<name>{_NAME})=(?P<value>[^\s&#;\"'<>]+)")
_HEADER = re.compile(r"(?P<name>(?:proxy-)?authorization|cookie)\s*[:=]\s*(?P<value>[^\"'\r\n]+)", re.IGNORECASE)
_BEARER = re.compile(r"\b(?:bearer|basic)\s+(?P<value>[\w.~+/=-]{6,})", re.IGNORECASE)
_ASSIGNED = re.compile(rf"(?P<name>{_NAME})[\"']?\s*[=:]\s*(?P<value>{_QUOTED}|[^\s\"',;&]+)")
_OPTION = re.compile(
    rf"(?<!\S)--?(?P<name>{_NAME})\s+(?P<value>(?:{_QUOTED}|[^\s\"'-]\S*)(?:\s+(?:{_QUOTED}|[^\s\"'-]\S*))*)"
)
_SHAPE = re.compile(
    r"\b(?P<value>sk-[\w-]{16,}|hf_\w{16,}|gh[opsu]_\w{16,}|github_pat_\w{16,}|xox[abps]-[\w-]{10,}|AKIA[A-Z0-9]{16})\b"
)
_TOKEN_USERS = frozenset({"", "x-oauth-basic", "x-access-token", "oauth2", "token"})
"""Users or passwords beside which the other one is the secret."""


def is_secret_name(name: str) -> bool:
    """Whether the value of a variable, option, table key or header of this name is a secret."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    if not words or (words[-1] not in _SECRET_WORDS and words[-2:] != ["api", "keys"]):
        return False
    if words == ["pwd"]:
        return False  # the shell's current folder
    return len(words) == 1 or words[-2] not in _HARMLESS.get(words[-1], ())


def redacted(value: Any) -> Any:
    """A setting, or a table of settings, with `REDACTED` in place of every secret."""
    return _Search().redacted(value)


def secrets_in(value: Any) -> frozenset[str]:
    """The secrets in a setting or a table of settings, also as a server may repeat them."""
    search = _Search()
    search.redacted(value)
    return frozenset(search.found)


class _Search:
    """Replaces secrets, and keeps them."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def redacted(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                name: self.hidden(item) if is_secret_name(str(name)) else self.redacted(item)
                for name, item in value.items()
            }
        if isinstance(value, list | tuple):
            return type(value)(map(self.redacted, value))
        return value

    def hidden(self, value: Any) -> Any:
        """The value of a secret name: all within it is secret."""
        if isinstance(value, Mapping):
            return {name: self.hidden(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(self.hidden, value))
        if value is None or value == "" or (not isinstance(value, str) and len(str(value)) < LEAST):
            return value  # a switch or a small number
        self.keep(str(value))
        return REDACTED

    def text(self, text: str) -> str:
        text = _ADDRESS.sub(self._user, text)
        for pattern in (_QUERY, _HEADER, _BEARER, _ASSIGNED, _OPTION, _SHAPE):
            text = pattern.sub(self._named, text)
        return text

    def _user(self, match: re.Match[str]) -> str:
        if match[0] != REDACTED:
            user, _, password = match[0].partition(":")
            self.keep(user if password in _TOKEN_USERS else password)
            both = f"{_decoded(user)}:{_decoded(password)}".encode()
            self.keep(base64.b64encode(both).decode())  # as a header has it
        return REDACTED

    def _named(self, match: re.Match[str]) -> str:
        name = match.groupdict().get("name")
        if name is not None and not is_secret_name(name):
            return match[0]
        value = match["value"]
        for word in re.findall(rf"{_QUOTED}|[^\s,]+", value):
            self.keep(word.strip("\"'"))
        self.keep(value.strip("\"'"))
        start, end = (position - match.start() for position in match.span("value"))
        return match[0][:start] + REDACTED + match[0][end:]

    def keep(self, secret: str) -> None:
        if REDACTED not in secret and secret.lower() not in {"bearer", "basic"}:
            self.found |= {secret, _decoded(secret)}


class Redactor:
    """Replaces known secrets in texts, however they are written: plain, percent-encoded or escaped.

    Args:
        secrets: The secrets. Those with fewer characters than `least` are ignored.
        least: Characters of a secret, at least.
    """

    def __init__(self, secrets: Iterable[str] = (), least: int = LEAST) -> None:
        spellings = {
            spelling for secret in secrets for line in secret.splitlines() for spelling in _spellings(line.strip())
        }
        kept = sorted((text for text in spellings if len(text) >= least), key=lambda text: (-len(text), text))
        self._spellings = kept
        self._least = least
        self._text = re.compile("|".join(map(re.escape, kept))) if kept else None
        self._bytes = re.compile(b"|".join(re.escape(text.encode()) for text in kept)) if kept else None

    def __bool__(self) -> bool:
        return bool(self._spellings)

    def __call__(self, text: str) -> str:
        """The text without the secrets; also without the beginning of one that a cut text ends with."""
        if self._text is None:
            return text
        text = self._text.sub(REDACTED, text)
        body = text.rstrip(" .…\"'")
        length = max((_overlap(body, secret) for secret in self._spellings), default=0)
        return text if length < self._least else body[:-length] + REDACTED + text[len(body) :]

    def masked(self, content: bytes) -> bytes:
        """The content with `*` in place of each byte of a secret, so that every place in it stays what it was."""
        return self._bytes.sub(lambda match: b"*" * len(match[0]), content) if self._bytes else content

    def stream(self) -> Callable[[bytes], bytes]:
        """A function that takes the next part of an output and returns what of it may be written now.

        Held back is the beginning of a possible secret. An empty part is the output's end.
        """
        waiting = b""
        spellings = [text.encode() for text in self._spellings]

        def feed(part: bytes) -> bytes:
            nonlocal waiting
            content = waiting + part
            if self._bytes is None:
                return content
            end = len(content) - (max(_overlap(content, secret) for secret in spellings) if part else 0)
            # not in the middle of a secret
            end = min([end, *(match.start() for match in self._bytes.finditer(content) if match.end() > end)])
            waiting = content[end:]
            return self._bytes.sub(REDACTED.encode(), content[:end])

        return feed


def _overlap(text: Any, secret: Any) -> int:
    """How many characters at the end of a text are the beginning of a secret."""
    lengths = range(min(len(text), len(secret) - 1), 0, -1)
    return next((length for length in lengths if text.endswith(secret[:length])), 0)


def _spellings(secret: str) -> set[str]:
    """How a secret may be written."""
    plain = {secret, _decoded(secret)}
    encoded = {"".join(map(_percent, text.encode("utf-8", "surrogateescape"))) for text in plain}
    escaped = {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for text in plain for ascii_only in (True, False)}
    return plain | encoded | escaped | {repr(text)[1:-1] for text in plain}


def _percent(byte: int) -> str:
    character = chr(byte)
    return character if byte < 128 and (character.isalnum() or character in "-._~") else f"%{byte:02X}"


def _decoded(text: str) -> str:
    """A text without percent-encoding."""
    content = text.encode("utf-8", "surrogateescape")
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), content).decode("utf-8", "replace")
