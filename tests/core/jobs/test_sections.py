"""Cutting a job's output at its token lines."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.core.jobs.sections import Sections

TOKEN = b"5f0c1d" * 5
WORDS = ["A", "B", "C"]

NEAR_TOKEN = [TOKEN, TOKEN + b" ", TOKEN + b" A", b" ", b"\n", b"\r\n", b"x", b"\xff", b"\x00"]
anything = st.binary(max_size=40) | st.lists(st.sampled_from(NEAR_TOKEN), max_size=8).map(b"".join)


def starts_a_token_line(body: bytes) -> bool:
    """Whether a body, which begins at a line's start, holds a line that would be a cut."""
    return any(line.startswith(TOKEN + b" ") for line in body.split(b"\n"))


bodies = anything.filter(lambda body: not starts_a_token_line(body))


def cut(output: bytes, piece: int, words: list[str]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Feed an output as `evaluation.evaluation_run` does: by lines, and overlong ones in pieces."""
    taken: dict[str, bytearray] = {word: bytearray() for word in words}
    sections = Sections(TOKEN, {word: taken[word].extend for word in words})
    source = io.BytesIO(output)
    for line in iter(lambda: source.readline(piece), b""):
        sections.feed(line)
    sections.end()
    return {word: bytes(body) for word, body in taken.items()}, sections.marks


def joined(first: bytes, others: list[tuple[str, str, bytes]]) -> bytes:
    """As the shell prints it: each token line begins with a line end of its own."""
    return first + b"".join(
        b"\n%s %s\n%s" % (TOKEN, f"{word} {rest}".strip().encode(), body) for word, rest, body in others
    )


rests = st.text("abc 0123456789.", max_size=12).map(lambda text: " ".join(text.split()))


@given(bodies, st.lists(st.tuples(st.sampled_from(WORDS), rests, bodies), unique_by=lambda each: each[0]), st.data())
def test_cutting_is_the_inverse_of_joining(
    first: bytes, others: list[tuple[str, str, bytes]], data: st.DataObject
) -> None:
    piece = data.draw(st.integers(len(TOKEN) + 20, 200))
    taken, marks = cut(joined(first, others), piece, ["", *WORDS])
    wanted = {"": first, **dict.fromkeys(WORDS, b""), **{word: body for word, _, body in others}}
    assert taken == wanted
    assert marks == {word: rest for word, rest, _ in others}


@given(bodies, bodies, bodies)
def test_a_section_that_nobody_takes_is_dropped_and_its_mark_kept(first: bytes, second: bytes, third: bytes) -> None:
    output = joined(first, [("A", "1", second), ("B", "2", third)])
    assert cut(output, 1000, ["", "B"]) == ({"": first, "B": third}, {"A": "1", "B": "2"})


@pytest.mark.parametrize(
    "line",
    [
        b"x" + TOKEN + b" A\n",
        b" " + TOKEN + b" A\n",
        TOKEN + b"\n",
        TOKEN + b"A\n",
        TOKEN[:-1] + b" A\n",
        TOKEN.upper() + b" A\n",
        b"\r" + TOKEN + b" A\n",
    ],
)
def test_a_line_that_only_looks_like_a_token_line_stays(line: bytes) -> None:
    taken, marks = cut(b"before\n" + line + b"after\n", 1000, ["", "A"])
    assert taken == {"": b"before\n" + line + b"after\n", "A": b""}
    assert marks == {}


def test_a_word_cuts_once_and_a_second_line_of_it_stays_as_it_is() -> None:
    again = TOKEN + b" A again\n"
    taken, marks = cut(joined(b"", [("A", "first", b"one\n" + again + b"two")]), 1000, ["A"])
    assert taken == {"A": b"one\n" + again + b"two"}
    assert marks == {"A": "first"}


@given(st.integers(len(TOKEN) + 4, 100), st.integers(0, 400))
def test_a_token_within_an_overlong_line_is_no_cut_wherever_the_pieces_end(piece: int, before: int) -> None:
    line = b"x" * max(1, before) + TOKEN + b" A 1\n"
    taken, marks = cut(line, piece, ["", "A"])
    assert (taken, marks) == ({"": line, "A": b""}, {})
