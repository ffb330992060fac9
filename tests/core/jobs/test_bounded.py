"""Output of bounded size: its beginning and its end are kept, its middle is left out."""

from __future__ import annotations

import re
import tracemalloc

from hypothesis import example, given
from hypothesis import strategies as st

from swerl_eval.core.jobs.sections import LINE_WEIGHT, Bounded, weight

NOTE = re.compile(rb"\n\[swerl-eval: (\d+) bytes of output left out here\]\n")


def passed_on(pieces: list[bytes], most: int, tail: int) -> tuple[list[bytes], bool]:
    written: list[bytes] = []
    bounded = Bounded(written.append, most, tail)
    for piece in pieces:
        bounded.take(piece)
    return written, bounded.end()


@given(
    st.lists(st.binary(min_size=1, max_size=20) | st.just(b"line\n"), max_size=40),
    st.integers(0, 600),
    st.integers(0, 600),
)
@example([b"line\n", b"x"], 1, 0)  # what follows a piece that is too large for anything is not its beginning
def test_what_weighs_no_more_than_the_bound_is_kept_whole_and_of_the_rest_whole_pieces_are_missing(
    pieces: list[bytes], most: int, tail: int
) -> None:
    written, left_out = passed_on(pieces, most, min(tail, most))
    assert left_out == (sum(map(weight, pieces)) > most)
    if not left_out:
        assert b"".join(written) == b"".join(pieces)
        return
    note = next(index for index, piece in enumerate(written) if NOTE.fullmatch(piece))
    begin, end = written[:note], written[note + 1 :]
    assert begin == pieces[: len(begin)]
    assert end == pieces[len(pieces) - len(end) :]
    missing = pieces[len(begin) : len(pieces) - len(end)]
    assert written[note] == b"\n[swerl-eval: %d bytes of output left out here]\n" % len(b"".join(missing))
    assert sum(map(weight, begin)) <= most - min(tail, most)
    assert sum(map(weight, begin + end)) <= most


def test_after_its_end_the_next_output_has_the_whole_bound_again() -> None:
    written: list[bytes] = []
    bounded = Bounded(written.append, 100, 10)
    for _ in range(2):
        bounded.take(b"x" * 60)
        bounded.take(b"y" * 60)
        assert bounded.end()
    bounded.take(b"z" * 100)
    assert not bounded.end()
    assert written[-1] == b"z" * 100


def test_an_end_of_tiny_pieces_takes_little_more_memory_than_its_bytes() -> None:
    tail = 2**20
    tracemalloc.start()
    try:
        bounded = Bounded(lambda _: None, tail, tail, tail_weight=len)
        for number in range(tail):
            bounded.take(b"%2d" % (number % 90))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * tail


def test_a_line_weighs_more_than_its_bytes() -> None:
    assert weight(b"one\ntwo\n") == 8 + 2 * LINE_WEIGHT
