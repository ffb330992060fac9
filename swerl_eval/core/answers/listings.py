"""Reads lists of repository paths from an answer, in any layout that models write.

`parse_paths` says which parts of an answer count. The layouts are: a fenced list, JSON, and lines with a heading, a
bullet, a number, a table's cell or a label before the path. A path may be quoted or decorated, absolute, in a container,
with a prefix of diffs or with a place in the file behind it (`_Reader._path`).
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from typing import Any

from swerl_eval.core.answers.fences import blocks

INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
_DECORATION = "`'\"*,;:()[]{}<>|! \t\r"
_BULLET = re.compile(r"\s*(?:(?:[-*+•>]|#{1,6}|\[[ xX]\]|\(?\d{1,3}[.)])\s+)*")
_PIECE = re.compile(r"[^|,;]+")
_WORD = re.compile(r"`([^`]+)`|\"([^\"]+)\"|'([^']+)'|[^\s`\"'()\[\]{}<>*]+")
_BARE_WORD = re.compile(r"[^\s`\"'()\[\]{}<>*]+")
_REMARKS = (": ", " - ", " \u2013 ", " \u2014 ", " (")
_PLACE = re.compile(r"(\.\w{1,8})[:#(?][^\s,;|/]*$")
"""A path's extension and a place in the file behind it: `a.py:12`, `a.py#L5`, `a.py::test`, `a.py(12)`."""
_ABSOLUTE = re.compile(r"/|~|\$|\.\./|<|[A-Za-z]:/|[a-z]+://")
_PATH_LIKE = re.compile(r"[^\s:]*(?:/[^\s:/]*\.\w{1,8}|\.(?:py|pyi|pyx|rst|txt|md|cfg|toml|ini|json|ya?ml|html|c|h))")
_WORDS = re.compile(r"[^\W\d_]+")
_NEGATIONS = frozenset({"no", "none", "not", "never", "neither", "nor"})
_CONJUNCTION = re.compile(r"\b(?:and|or|plus)$")
_OPENING = "*_`\"'[({<| \t"
"""What may stand right before a path."""
_CONTAINER = "/testbed/"
_LONGEST = 1000
"""Characters of a word that may be a path."""
MOST_IGNORED = 20
"""How many entries that do not exist are recorded of one answer."""


@dataclass(frozen=True)
class _Token:
    """A word of a line that is a path, or looks like one."""

    start: int
    end: int
    path: str | None
    """The path in the repository; None if it does not exist."""
    text: str


@dataclass
class _Named:
    """The paths that a part of an answer names, in order."""

    paths: dict[str, None] = field(default_factory=dict)
    unknown: dict[str, None] = field(default_factory=dict)

    def add(self, tokens: Iterable[_Token]) -> None:
        for token in tokens:
            if token.path is not None:
                self.paths[token.path] = None
            elif len(self.unknown) < MOST_IGNORED:
                self.unknown[token.text[:200]] = None

    def merge(self, other: _Named) -> None:
        self.paths |= other.paths
        self.unknown |= other.unknown


@dataclass(frozen=True)
class _Line:
    """The paths of one line."""

    listed: list[_Token]
    """The paths at its beginning, or after a bullet, a number or a label."""
    mentioned: list[_Token]
    """The other paths, within a sentence."""


def parse_paths(answer: str, known: Set[str], limit: int) -> tuple[list[str], list[str]]:
    """Read the paths that an answer lists.

    The first of these that names a known path counts:

    1. The last fenced list. Several fenced lists with one path each are one list. A fence is a list if at least half of
       its lines list a path, so code is none.
    2. The whole answer as JSON.
    3. All lines that list a path (headings, bullets, tables, `File: …`), followed by the paths that the text before the
       first of them mentions.
    4. All paths that the answer mentions, those in code last.

    Args:
        answer: The solution of an answer.
        known: The paths that exist.
        limit: The most paths to return.

    Returns:
        The known paths in the order of the answer, and what was listed but does not exist.
    """
    text = answer.translate(INVISIBLE)
    reader = _Reader(known)
    fenced: list[_Named] = []
    segments: list[tuple[str, bool]] = []
    position = 0
    for block in blocks(text):
        body = text[block.start : block.end]
        segments += [(text[position : block.opening.start], False), (body, True)]
        position = block.after
        named = reader.fenced_list(body)
        if named is not None:
            fenced.append(named)
    segments.append((text[position:], False))
    named = _last_list(fenced) or reader.json(text) or reader.lines(segments)
    if named.paths:
        return list(named.paths)[:limit], list(named.unknown)
    unknown = list(fenced[-1].unknown if fenced else named.unknown)
    bodies = [body for body, code in segments if code] or [text]
    return [], (unknown or [line.strip()[:200] for line in bodies[-1].splitlines() if line.strip()])[:MOST_IGNORED]


def _last_list(fenced: list[_Named]) -> _Named | None:
    """Return the last fenced list with a known path, joined with those before it while each has one path at most."""
    while fenced and not fenced[-1].paths:
        fenced = fenced[:-1]
    if not fenced or len(fenced[-1].paths) > 1:
        return fenced[-1] if fenced else None
    joined: list[_Named] = []
    for named in reversed(fenced):
        if len(named.paths) > 1:
            break
        joined.insert(0, named)
    whole = _Named()
    for named in joined:
        whole.merge(named)
    return whole


class _Reader:
    """Reads lines and blocks, and compares their words with the known paths."""

    def __init__(self, known: Set[str]) -> None:
        self._known = known
        self._folders: frozenset[str] | None = None

    def fenced_list(self, body: str) -> _Named | None:
        """Return what a fenced block lists, or None if it is not a list."""
        named = self.json(body)
        if named is not None:
            return named
        named = _Named()
        listing_lines = content_lines = 0
        for text in body.splitlines():
            line = self._line(text, code=True)
            named.add(line.listed)
            listing_lines += bool(line.listed)
            content_lines += bool(_WORDS.search(text)) and not text.rstrip().endswith(("[", "(", "{"))
        return named if listing_lines and 2 * listing_lines >= content_lines else None

    def json(self, text: str) -> _Named | None:
        """Return what the strings of a JSON text name; None if it is not JSON or names nothing."""
        named = _Named()
        named.add(
            token
            for string in json_strings(text)
            if (token := self._token(0, len(string), string)) is not None
            and (token.path is not None or " " not in string)
        )
        return named if named.paths or named.unknown else None

    def lines(self, segments: list[tuple[str, bool]]) -> _Named:
        """Return what the lines of a text name; `segments` are its parts, and whether each is fenced."""
        listed, before, prose, code = _Named(), _Named(), _Named(), _Named()
        for body, fenced in segments:
            for text in body.splitlines():
                line = self._line(text, code=fenced)
                listed.add(line.listed)
                (code if fenced else prose if listed.paths else before).add(line.mentioned)
        if listed.paths:
            listed.merge(before)
            return listed
        for named in (before, prose, code):
            listed.merge(named)
        return listed

    def _line(self, line: str, *, code: bool) -> _Line:
        tokens = list(self._tokens(line))
        if not tokens or not leads(line[: tokens[0].start], code=code):
            return _Line([], tokens)
        count = 1
        while count < len(tokens) and goes_on(line[tokens[count - 1].end : tokens[count].start]):
            count += 1
        return _Line(tokens[:count], tokens[count:])

    def _tokens(self, line: str) -> Iterator[_Token]:
        bullet = _BULLET.match(line)
        start = bullet.end() if bullet else 0
        whole = line[start:]
        # a path may hold blanks, so the whole line is tried first, then the line up to a remark
        for form in (whole, *(whole.partition(remark)[0] for remark in _REMARKS if remark in whole)):
            path = self._path(form)
            if path is not None and (form == whole or " " in path):
                yield _Token(start, start + len(form), path, form)
                return
        for piece in _PIECE.finditer(line):
            path = self._path(piece[0])
            if path is not None:
                yield _Token(*piece.span(), path, piece[0])
                continue
            for word in _WORD.finditer(line, *piece.span()):
                yield from self._word_tokens(line, word)

    def _word_tokens(self, line: str, word: re.Match[str]) -> Iterator[_Token]:
        quoted = word[1] or word[2] or word[3]
        token = self._token(*word.span(), quoted or word[0])
        if token is not None and (token.path is not None or not quoted or " " not in quoted):
            yield token
        elif quoted:
            for inner in _BARE_WORD.finditer(line, *word.span()):
                token = self._token(*inner.span(), inner[0])
                if token is not None:
                    yield token

    def _token(self, start: int, end: int, word: str) -> _Token | None:
        path = self._path(word)
        bare = word.strip(_DECORATION).rstrip(".")
        if path is None and (len(bare) > _LONGEST or not _PATH_LIKE.match(bare)):
            return None
        return _Token(start, end, path, bare)

    def _path(self, word: str) -> str | None:
        """Return the known path that a word means."""
        if len(word) > _LONGEST:
            return None
        if word in self._known:
            return word
        bare = word.strip(_DECORATION).rstrip(".?").replace("\\", "/")
        place = _PLACE.search(bare)
        for form in (bare, bare[: place.end(1)] if place else bare.rpartition(":")[0]):
            for prefix in ("", "./", "/", "a/", "b/", _CONTAINER):
                if form.startswith(prefix) and form[len(prefix) :] in self._known:
                    return form[len(prefix) :]
            if _ABSOLUTE.match(form) and not form.startswith(_CONTAINER) and (path := self._ending(form)) is not None:
                return path
        return None

    def _ending(self, absolute: str) -> str | None:
        """Return the longest known path that an absolute path ends with.

        A file of the top folder counts only if no folder before it is one of the repository: `/x/pkg/setup.py` is not
        the repository's `setup.py`.
        """
        parts = absolute.split("/") if " " not in absolute else []
        for first in range(1, len(parts)):
            path = "/".join(parts[first:])
            if path in self._known:
                return path if first < len(parts) - 1 or self._top_folders().isdisjoint(parts[:first]) else None
        return None

    def _top_folders(self) -> frozenset[str]:
        if self._folders is None:
            self._folders = frozenset(path.partition("/")[0] for path in self._known if "/" in path)
        return self._folders


def leads(prefix: str, *, code: bool) -> bool:
    """Whether the text before a path on its line is a bullet, a label or nothing, rather than a sentence.

    Args:
        prefix: The text before the path.
        code: Whether the line may be code, where `#` begins a comment instead of a heading.
    """
    if len(prefix) > _LONGEST or (code and prefix.strip() in {"#", "//"}):
        return False
    bullet = _BULLET.match(prefix)
    bare = prefix[bullet.end() if bullet else 0 :].rstrip()
    words = _WORDS.findall(bare)
    if not words:
        return True
    label = bare.rstrip(_OPENING.replace("|", ""))
    bracket = bare[len(label) :].strip("*_`\"' \t")
    ends = label[-1:] in set(":|>-\u2192\u2013\u2014") or (label[-1:] == "=" and bracket[:1] in {"[", "(", "{"})
    return len(words) <= 4 and _NEGATIONS.isdisjoint(map(str.lower, words)) and (ends or bare.endswith("]("))


def goes_on(gap: str) -> bool:
    """Whether two paths with this text between them are a list: no words but "and", or a comma after a remark."""
    before = _CONJUNCTION.sub("", gap.rstrip(_OPENING)).rstrip("`'\"*)]}> \t")
    return not _WORDS.search(before) or before.endswith((",", ";"))


def json_strings(text: str) -> Iterator[str]:
    """Yield the strings of a JSON list or object in order, keys too; nothing for any other text."""
    bare = text.strip()
    waiting: list[Any] = []
    if bare.startswith(("[", "{")):
        with contextlib.suppress(ValueError, RecursionError):
            waiting.append(json.loads(bare))
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            waiting += reversed(item)
        elif isinstance(item, dict):
            waiting += reversed([part for pair in item.items() for part in pair])
