"""Lists read from an answer: paths of a repository, in whichever layout a model writes them."""

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
"""The end of a path and a place in the file: `a.py:12`, `a.py#L5`, `a.py::test`, `a.py(12)`."""
_ABSOLUTE = re.compile(r"/|~|\$|\.\./|<|[A-Za-z]:/|[a-z]+://")
_PATH_LIKE = re.compile(r"[^\s:]*(?:/[^\s:/]*\.\w{1,8}|\.(?:py|pyi|pyx|rst|txt|md|cfg|toml|ini|json|ya?ml|html|c|h))")
_LETTERS = re.compile(r"[^\W\d_]+")
_NEGATIONS = frozenset({"no", "none", "not", "never", "neither", "nor"})
_CONJUNCTION = re.compile(r"\b(?:and|or|plus)$")
_OPENING = "*_`\"'[({<| \t"
"""What may stand right before a path."""
_CONTAINER = "/testbed/"
_LONGEST = 1000
"""Letters of a word that may be a path."""
MOST_IGNORED = 20
"""Entries of one answer that are recorded though they do not exist."""


@dataclass(frozen=True)
class _Token:
    """A word that is a path, or looks like one."""

    start: int
    end: int
    path: str | None
    """As the repository has it; None for one that does not exist."""
    text: str


@dataclass
class _Named:
    """What a part of an answer names, in order."""

    paths: dict[str, None] = field(default_factory=dict)
    missed: dict[str, None] = field(default_factory=dict)

    def add(self, tokens: Iterable[_Token]) -> None:
        for token in tokens:
            if token.path is not None:
                self.paths[token.path] = None
            elif len(self.missed) < MOST_IGNORED:
                self.missed[token.text[:200]] = None

    def merge(self, other: _Named) -> None:
        self.paths |= other.paths
        self.missed |= other.missed


@dataclass(frozen=True)
class _Line:
    listed: list[_Token]
    """Those that the line lists: at its beginning, or after a bullet, a number, or a label."""
    mentioned: list[_Token]
    """All others."""


def parse_paths(answer: str, known: Set[str], limit: int) -> tuple[list[str], list[str]]:
    """Paths that exist, in the order answered, at most `limit`; and what was named but does not exist.

    The last fenced list that names a known file counts, and several that hold one path each are one list. Without such
    a list: the lines that list a path (headings, bullets, tables, `File: …`), then what the words before the first of
    them mention; without such lines all that is mentioned, in code last. Fences of code are no lists: most of their
    lines list no path.
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
        return list(named.paths)[:limit], list(named.missed)
    missed = list(fenced[-1].missed if fenced else named.missed)
    bodies = [body for body, code in segments if code] or [text]
    return [], (missed or [line.strip()[:200] for line in bodies[-1].splitlines() if line.strip()])[:MOST_IGNORED]


def _last_list(fenced: list[_Named]) -> _Named | None:
    while fenced and not fenced[-1].paths:
        fenced = fenced[:-1]
    if not fenced or len(fenced[-1].paths) > 1:
        return fenced[-1] if fenced else None
    first = len(fenced)
    while first and len(fenced[first - 1].paths) <= 1:
        first -= 1
    together = _Named()
    for named in fenced[first:]:
        together.merge(named)
    return together


class _Reader:
    """Reads lines and blocks against the paths that exist."""

    def __init__(self, known: Set[str]) -> None:
        self._known = known
        self._folders: frozenset[str] | None = None

    def fenced_list(self, body: str) -> _Named | None:
        """What a fenced block lists, or None where it is no list."""
        named = self.json(body)
        if named is not None:
            return named
        named = _Named()
        listing = content = 0
        for line in body.splitlines():
            read = self._line(line, code=True)
            named.add(read.listed)
            listing += bool(read.listed)
            content += bool(_LETTERS.search(line)) and not line.rstrip().endswith(("[", "(", "{"))
        return named if listing and 2 * listing >= content else None

    def json(self, text: str) -> _Named | None:
        """What the strings of a JSON text name; None where it is none, or names nothing."""
        named = _Named()
        named.add(
            token
            for string in json_strings(text)
            if (token := self._token(0, len(string), string)) is not None
            and (token.path is not None or " " not in string)
        )
        return named if named.paths or named.missed else None

    def lines(self, segments: list[tuple[str, bool]]) -> _Named:
        """What the lines of a text name; `segments` are its parts, and whether each is fenced."""
        listed, before, prose, code = _Named(), _Named(), _Named(), _Named()
        for body, fenced in segments:
            for line in body.splitlines():
                read = self._line(line, code=fenced)
                listed.add(read.listed)
                (code if fenced else prose if listed.paths else before).add(read.mentioned)
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
        # a path with blanks in it is no word, so the line is tried as a whole, and up to a remark
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
        """The known path that a word means."""
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
        """The longest end of a path that is known.

        A file of the top folder only where no folder of the repository stands before it: `/x/pkg/setup.py` is not
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
    """Whether what stands before a path on its line is a bullet, a label, or nothing: no sentence.

    `code` says that the line may be code, where a `#` begins a comment and no heading.
    """
    if len(prefix) > _LONGEST or (code and prefix.strip() in {"#", "//"}):
        return False
    bullet = _BULLET.match(prefix)
    bare = prefix[bullet.end() if bullet else 0 :].rstrip()
    words = _LETTERS.findall(bare)
    if not words:
        return True
    label = bare.rstrip(_OPENING.replace("|", ""))
    bracket = bare[len(label) :].strip("*_`\"' \t")
    ends = label[-1:] in set(":|>-\u2192\u2013\u2014") or (label[-1:] == "=" and bracket[:1] in {"[", "(", "{"})
    return len(words) <= 4 and _NEGATIONS.isdisjoint(map(str.lower, words)) and (ends or bare.endswith("]("))


def goes_on(gap: str) -> bool:
    """Whether two paths with this between them are a list: no words but "and", or a comma after a remark."""
    before = _CONJUNCTION.sub("", gap.rstrip(_OPENING)).rstrip("`'\"*)]}> \t")
    return not _LETTERS.search(before) or before.endswith((",", ";"))


def json_strings(text: str) -> Iterator[str]:
    """The strings of a JSON list or object in order, keys among them; nothing where the text is neither."""
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
