"""Reads lists of repository paths from an answer, in any layout that models write.

`parse_paths` says which parts of an answer count, `list_lines` which lines list something, and `known_paths` which
path a word means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from itertools import takewhile

from swerl_eval.core.answers.fences import blocks
from swerl_eval.core.answers.known_paths import KnownPaths, is_path_like, undecorated
from swerl_eval.core.answers.list_lines import INVISIBLE, bullet_end, goes_on, has_words, json_strings, leads

MOST_IGNORED = 20
"""How many entries that do not exist are recorded of one answer."""
_PIECE = re.compile(r"[^|,;]+")
_WORD = re.compile(r"`([^`]+)`|\"([^\"]+)\"|'([^']+)'|[^\s`\"'()\[\]{}<>*]+")
_BARE_WORD = re.compile(r"[^\s`\"'()\[\]{}<>*]+")
_REMARKS = (": ", " - ", " \u2013 ", " \u2014 ", " (")
"""What may stand between a path and a remark on it."""


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

    The first of these that the answer has counts:

    1. The last fenced list that names a known path. Several fenced lists with one path each are one list. A fenced
       block is a list if at least half of its lines list a path, so code is none.
    2. The whole answer as JSON.
    3. All lines that list a known path (headings, bullets, tables, `File: …`), followed by the paths that the text
       before the first of them mentions.
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
    joined = _Named()
    for named in reversed(list(takewhile(lambda named: len(named.paths) <= 1, reversed(fenced)))):
        joined.merge(named)
    return joined


class _Reader:
    """Reads lines and blocks, and compares their words with the known paths."""

    def __init__(self, known: Set[str]) -> None:
        self._known = KnownPaths(known)

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
            content_lines += has_words(text) and not text.rstrip().endswith(("[", "(", "{"))
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
        start = bullet_end(line)
        whole = line[start:]
        # a path may hold blanks, so the whole line is tried first, then the line up to a remark
        for form in (whole, *(whole.partition(remark)[0] for remark in _REMARKS if remark in whole)):
            path = self._known.find(form)
            if path is not None and (form == whole or " " in path):
                yield _Token(start, start + len(form), path, form)
                return
        for piece in _PIECE.finditer(line):
            path = self._known.find(piece[0])
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
        path = self._known.find(word)
        bare = undecorated(word)
        return _Token(start, end, path, bare) if path is not None or is_path_like(bare) else None
