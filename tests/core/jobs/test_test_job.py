"""Reading the output of a job that runs tests."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.core.jobs import test_job
from swerl_eval.core.jobs.test_job import OutputReader, Section, outcome_of
from swerl_eval.core.types import Outcome

TOKEN = "5f0c1d" * 5
NAMES = ("tests 0", "tests 1", "script 0", "script 2")


def lines_of(text: str) -> dict[str, str]:
    """A parser that shows what it was given."""
    return {str(number): line for number, line in enumerate(text.split("\n"))}


def read(output: bytes, names: tuple[str, ...] = NAMES, piece: int = 1000) -> list[Section] | None:
    reader = OutputReader(TOKEN, names, lines_of)
    source = io.BytesIO(output)
    for line in iter(lambda: source.readline(piece), b""):
        reader.feed(line)
    return reader.end()


def printed(bodies: dict[str, bytes], *, before: bytes = b"", changed: str = "same", code: int = 0) -> bytes:
    """As the job's shell prints it."""
    mark = TOKEN.encode()
    parts = [
        b"\n%s BEGIN %s\n%s\n%s END %s %d 1.5 2.0 %s\n"
        % (mark, name.encode(), body, mark, name.encode(), code, changed.encode())
        for name, body in bodies.items()
    ]
    return b"%s\n%s READY\n%s" % (before, mark, b"".join(parts))


anything = st.binary(max_size=60) | st.lists(
    st.sampled_from([b"Issue reproduced", b"Issue resolved", b"\n", b"\r\n", b" ", b"x", b"\xff", TOKEN[:-1].encode()])
).map(b"".join)
outputs = st.dictionaries(st.sampled_from(NAMES), anything).map(
    lambda bodies: {name: bodies[name] for name in NAMES if name in bodies}
)


@given(outputs, anything)
def test_every_test_is_read_by_what_it_printed_alone(bodies: dict[str, bytes], before: bytes) -> None:
    sections = read(printed(bodies, before=before))
    assert sections is not None
    assert [section.name for section in sections] == list(bodies)
    for section in sections:
        text = bodies[section.name].decode("utf-8", "replace")
        assert (section.exit_code, section.seconds, section.changed_repository) == (0, 0.5, False)
        if section.name.startswith("tests"):
            assert section.statuses == lines_of(text)
        else:
            assert section.phrases == {line.strip() for line in text.splitlines()} & test_job.PHRASES.keys()


@given(outputs, st.data())
def test_of_an_output_torn_at_any_byte_the_tests_that_ended_are_read(
    bodies: dict[str, bytes], data: st.DataObject
) -> None:
    output = printed(bodies)
    torn = output[: data.draw(st.integers(0, len(output) - 1))]
    ready = torn.find(b" READY")
    sections = read(torn)
    if sections is None:
        assert ready < 0
        return
    whole = read(output) or []
    ended = sum(f"END {name} 0 1.5 2.0 same".encode() in torn for name in bodies)
    assert sections == whole[:ended]


def test_set_up_that_prints_no_last_line_end_hides_nothing() -> None:
    assert read(printed({"tests 0": b"PASSED"}, before=b"installed")) == [
        Section("tests 0", 0, 0.5, False, statuses={"0": "PASSED"})
    ]
    assert read(b"set-up failed") is None


@pytest.mark.parametrize(
    ("body", "code", "outcome"),
    [
        (b"Issue reproduced", 0, Outcome.REPRODUCED),
        (b"debug\n  Issue resolved \nmore", 1, Outcome.RESOLVED),
        (b"Issue reproduced\nIssue resolved", 0, Outcome.UNCLEAR),
        (b"print('Issue resolved')", 1, Outcome.UNCLEAR),
        (b"", 137, Outcome.TIMED_OUT),
        (b"Other issues", 137, Outcome.OTHER),
    ],
)
def test_a_script_is_judged_by_whole_lines_of_its_own(body: bytes, code: int, outcome: Outcome) -> None:
    (section,) = read(printed({"script 0": body}, code=code)) or []
    assert outcome_of(section) is outcome


def test_a_locale_with_a_decimal_comma_costs_no_second() -> None:
    (section,) = read(printed({"tests 0": b"x"}).replace(b"1.5 2.0", b"1,5 4,0")) or []
    assert section.seconds == 2.5


def test_of_what_a_test_prints_without_end_its_beginning_and_its_end_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_job, "HELD_WEIGHT", 4000)
    monkeypatch.setattr(test_job, "TAIL_WEIGHT", 1000)
    body = b"PASSED first\n" + b"noise\n" * 10_000 + b"PASSED last"
    (section,) = read(printed({"tests 0": body})) or []
    lines = list(section.statuses.values())
    assert (lines[0], lines[-1]) == ("PASSED first", "PASSED last")
    assert sum("bytes of output left out here]" in line for line in lines) == 1
    assert sum(len(line) for line in lines) < 1500
