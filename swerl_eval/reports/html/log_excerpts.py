"""Finds the lines of a test log that are about given tests: the blocks of pytest, unittest and sympy on failures.

A log is what a patch's code printed, so a block can be forged. It is shown as text, and no verdict depends on it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from swerl_eval.records.job_output import lines_in_pieces

MOST_LINES = 60
"""Of a test, at most. Of a longer block the beginning and the end are shown."""
MOST_CHARACTERS = 300
"""Of a line, at most."""
_HEAD = 15
_MOST_BLOCKS = 10_000
"""Of a log. A longer one is hostile: a title costs more time than other lines."""
_MENTIONS = 10
"""Lines that only name a test, at most."""

_FAILURE = re.compile(r"(?:FAIL|ERROR|UNEXPECTED SUCCESS): (?P<title>.+)")
"""Above a block of unittest, after a line of `=`."""
_UNITTEST = re.compile(r"(?P<name>\S+) \((?P<place>[\w.<>]+)\)")
_RULE = re.compile(r"={20,}|_{20,}|={3,} (?P<section>.*) ={3,}")
"""Ends any block."""
_DASHES = re.compile(r"-{20,}")
"""In a block of unittest, the first one is below its title, and the second one ends it."""
_ERRORS = ("ERROR at setup of ", "ERROR at teardown of ")
_COLLECTION = "ERROR collecting "
_FIXTURES = {"setUpClass", "tearDownClass", "setUpModule", "tearDownModule"}
_LOADER = "unittest.loader._FailedTest"
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_words = re.compile(rb"\w+").findall
_MAY_BEGIN_BLOCK = (b"_", b"=", b"F", b"E", b"U", b"\x1b")


def excerpts(log: Path, tests: Sequence[str]) -> dict[str, list[str]]:
    """Return the lines about each test, at most `MOST_LINES`; none for a test that the log does not name.

    Args:
        log: The saved output of a test run, of any size; it need not exist.
        tests: Names of tests as SWE-bench has them: `path::Class::test`, `test (module.Class)`, `test`, or the first
            line of a docstring.
    """
    reader = _Reader([_Test.named(name) for name in dict.fromkeys(tests)])
    if tests and log.is_file():
        for line in _lines(log):
            reader.read(line)
        reader.close()
    return {test.name: test.lines[:MOST_LINES] or test.mentions for test in reader.tests}


def _lines(log: Path) -> Iterator[bytes]:
    """Yield the lines of a log; of one that comes in several pieces, the first."""
    begins = True
    for piece in lines_in_pieces(log):
        if begins:
            yield piece
        begins = piece.endswith(b"\n")


@dataclass
class _Test:
    """A test, the parts of its name, and what the log has on it."""

    name: str
    file: str = ""
    place: str = ""
    """The names of classes and function, with dots; for a test of unittest the module and the class."""
    function: str = ""
    """For a test of unittest."""
    parameters: str = ""
    """In brackets. SWE-bench's own parser cuts some at a blank, so the closing one may be missing."""
    lines: list[str] = field(default_factory=list)
    mentions: list[str] = field(default_factory=list)

    @classmethod
    def named(cls, name: str) -> _Test:
        """Take a name apart."""
        if match := _UNITTEST.fullmatch(name):
            return cls(name, place=_class_of(match), function=match["name"])
        bare, bracket, rest = name.partition("[")
        file, *parts = bare.split("::")
        if not parts:
            file, _, function = bare.rpartition(":")
            parts = [function]
        return cls(name, file, ".".join(parts), parameters=bracket + rest)

    def has(self, parameters: str) -> bool:
        """Whether the test has these parameters, as far as its name has them."""
        cut = bool(self.parameters) and not self.parameters.endswith("]")
        return parameters.startswith(self.parameters) if cut else parameters == self.parameters

    @property
    def pattern(self) -> re.Pattern[bytes]:
        """Matches the whole name within a line."""
        return re.compile(rb"(?<![\w.])" + re.escape(self.name.encode("utf-8", "replace")) + rb"(?![\w\[])")


class _Block:
    """A block that is being read, and the tests that it is about."""

    def __init__(self, tests: list[_Test], *, unittest: bool) -> None:
        self.tests = tests
        self.unittest = unittest
        self.rules = 0
        self._files = {test.file for test in tests} - {""}
        self._seen: set[str] = set()
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=MOST_LINES - _HEAD - 1)
        self._count = 0

    def add(self, line: str) -> None:
        """Take the next line."""
        self._count += 1
        (self._head if len(self._head) < _HEAD else self._tail).append(line)
        file = line.partition(":")[0]
        if file in self._files:
            self._seen.add(file)

    def close(self) -> None:
        """Give the lines to the tests. Of tests that are named alike, to those whose file stands in the block."""
        skipped = self._count - len(self._head) - len(self._tail)
        lines = [*self._head, *([f"… {skipped} lines left out"] * bool(skipped)), *self._tail]
        while lines and not lines[-1].strip():
            lines.pop()
        for test in self.tests:
            if len(test.lines) < MOST_LINES and not (self._seen and test.file and test.file not in self._seen):
                test.lines += lines


class _Reader:
    """Reads a log line by line."""

    def __init__(self, tests: list[_Test]) -> None:
        self.tests = tests
        self._patterns = [(test, test.pattern) for test in tests]
        self._words = {max(_words(test.name.encode("utf-8", "replace")), key=len, default=b"") for test in tests}
        self._block: _Block | None = None
        self._blocks = 0
        self._after_rule = False
        self._passes = False
        self._by_place: dict[str, list[_Test]] = {}
        for test in tests:
            self._by_place.setdefault(test.place, []).append(test)

    def read(self, line: bytes) -> None:
        """Take the next line."""
        if not self._words.isdisjoint(_words(line)):  # a third of the time of looking for every name in every line
            for test, pattern in self._patterns:
                if len(test.mentions) < _MENTIONS and pattern.search(line):
                    test.mentions.append(_text(line))
        if self._block is None and not line.startswith(_MAY_BEGIN_BLOCK):
            self._after_rule = False
            return
        text = _text(line)
        self._begin_or_end(text)
        if self._block is not None:
            self._block.add(text)
        self._after_rule = text.startswith("=" * 20) and not text.strip("=")

    def close(self) -> None:
        """Take the end of the log, or of a block."""
        if self._block is not None:
            self._block.close()
        self._block = None

    def _begin_or_end(self, text: str) -> None:
        if self._blocks == _MOST_BLOCKS:
            return
        if (title := _title(text)) and not self._passes:
            self._begin(self._titled(title), unittest=False)
        elif self._after_rule and (failure := _FAILURE.match(text)):
            self._begin(self._failed(failure["title"]), unittest=True)
        elif rule := _RULE.fullmatch(text):
            self._passes = rule["section"] == "PASSES"
            self.close()
        elif self._block is not None and self._block.unittest:
            self._read_unittest(self._block, text)

    def _begin(self, tests: list[_Test], *, unittest: bool) -> None:
        self.close()
        self._blocks += 1
        self._block = _Block(tests, unittest=unittest)

    def _read_unittest(self, block: _Block, text: str) -> None:
        if _DASHES.fullmatch(text):
            block.rules += 1
            if block.rules > 1:
                self.close()
        elif not block.rules:  # the first line of a docstring
            block.tests += [test for test in self.tests if test.name == text and test not in block.tests]

    def _titled(self, title: str) -> list[_Test]:
        """The tests that a title of pytest or sympy is about."""
        if title.startswith(_COLLECTION):
            return [test for test in self.tests if test.file == title[len(_COLLECTION) :]]
        for error in _ERRORS:
            title = title.removeprefix(error)
        named = _Test.named(title)
        alike = [test for test in self._by_place.get(named.place, ()) if test.has(named.parameters)]
        return [test for test in alike if not (named.file and test.file) or test.file == named.file]

    def _failed(self, title: str) -> list[_Test]:
        """The tests that a title of unittest is about; behind the name it may have the parameters of a subtest."""
        match = _UNITTEST.match(title)
        if match is None:
            return [test for test in self.tests if test.name == title]
        name, place = match["name"], _class_of(match)
        if name in _FIXTURES or place.startswith(_LOADER):
            within = place if name in _FIXTURES else name
            return [test for test in self.tests if f"{test.place}.".startswith(f"{within}.") and test.function]
        return [test for test in self._by_place.get(place, ()) if test.function == name]


def _title(text: str) -> str:
    """The title between underscores above a block of pytest or sympy; empty where there is none."""
    title = text.strip("_")
    framed = text.startswith("_") and text.endswith("_") and title[:1] == title[-1:] == " "
    return title.strip() if framed and title.strip("_ ") else ""


def _class_of(match: re.Match[str]) -> str:
    """The class of a test of unittest; from Python 3.11 on, the test's name stands behind it."""
    return match["place"].removesuffix(f".{match['name']}")


def _text(line: bytes) -> str:
    """Decode a line without its end, for people: no colours, control characters replaced, cut."""
    text = _COLOURS.sub("", line[: 8 * MOST_CHARACTERS].decode("utf-8", "replace")).rstrip("\r\n")
    text = _CONTROLS.sub("\ufffd", text)
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"
