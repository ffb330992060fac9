"""Which block of an answer is the script."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.core.answers.script_blocks import script_in

SCRIPT = "def check():\n    print('Issue reproduced')\n\n\ncheck()\n"
FIRST = "print('Issue resolved')\n" + "x = 1\n" * 9
LOG = "a line of output\n" * 20
FENCE_IN_A_STRING = 'TEXT = """\n```\ncode\n```\nand\n```python\nmore\n```\n"""\n' + SCRIPT


@pytest.mark.parametrize(
    "answer",
    [
        f"```python\n{SCRIPT}```",
        f"```python\n{SCRIPT}```\nIt prints:\n```\n{LOG}```",
        f"The log:\n```\n{LOG}```\n```python\n{SCRIPT}```",
        f"```python\n{SCRIPT}```\nRun it:\n```bash\npython script.py  # says Issue reproduced\n```",
        f'```python\n{SCRIPT}```\nIt prints:\n```json\n["Issue reproduced"\n```',
        f"~~~python\n{SCRIPT}~~~",
        f"````\n{SCRIPT}````",
        f"so: ```py\n{SCRIPT}```",
        "1. Do\n\n   ```python\n" + "".join(f"   {line}\n" for line in SCRIPT.splitlines()) + "   ```\n",
        "- ```python\n" + "".join(f"  {line}".rstrip() + "\n" for line in SCRIPT.splitlines()) + "  ```\n",
        "```python\n" + "".join(f"    {line}\n" for line in SCRIPT.splitlines()) + "```\n",
        f"```python\n{SCRIPT}".replace("\n", "\r\n"),
        f"A first try:\n```python\n{FIRST}```\nIt misses a case. The final version:\n```python\n{SCRIPT}```",
        f"```python\n{SCRIPT}```\nTo see the versions:\n```python\nimport sys\n\nprint(sys.version)\n```",
        f"```python\ndef check(:  # Issue resolved\n```\nNo:\n```python\n{SCRIPT}```",
        f"```python\nprint('Issue\n\n```python\n{SCRIPT}```",
        f"\n{SCRIPT}\n",
    ],
)
def test_the_script_is_the_last_block_that_is_python_and_prints_a_phrase(answer: str):
    assert script_in(answer) == SCRIPT


def test_a_fence_within_a_string_of_the_script_does_not_end_it():
    assert script_in(f"```python\n{FENCE_IN_A_STRING}```\nDone:\n```\n{LOG}```") == FENCE_IN_A_STRING
    comment = "# a stray ''' in a comment\n" + SCRIPT
    assert script_in(f"```python\n{comment}```\nIt prints:\n```\n{LOG}```") == comment


@pytest.mark.parametrize(
    "script",
    [
        "bad = True\nprint(f\"Issue {'reproduced' if bad else 'resolved'}\")\n",
        "print('Issue', 'resolved')\n",
        "import sys\nsys.stdout.write('Other issues')\n",
    ],
)
def test_a_phrase_may_be_put_together(script: str):
    assert script_in(f"```python\n{script}```") == script


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "no block",
        "```python\n```",
        f"```\n{LOG}```",
        "```python\nx = 1\n```",
        "```python\n# Issue reproduced\nx = 1\n```",
        "```python\nprint('Issue reproduced'\n```",
        "Issue reproduced",
    ],
)
def test_an_answer_without_such_a_block_has_no_script(answer: str):
    assert script_in(answer) == ""


PIECES = [
    "```",
    "```python",
    "~~~",
    "\n",
    "\n",
    "'" * 3,
    '"' * 3,
    "print('Issue resolved')",
    "    ",
    "x = 1",
    "\0",
    "(" * 99,
]


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join)))
def test_no_answer_raises(answer: str):
    script = script_in(answer)
    assert script == "" or "resolved" in script


@pytest.mark.parametrize("piece", ["```\n", "```\n'''\n", "```python\nprint('Issue resolved'\n", "Issue resolved "])
def test_a_long_answer_takes_work_in_proportion_to_its_length(piece: str):
    short, long = (calls_made(script_in, piece * (length // len(piece))) for length in (40_000, 400_000))
    assert long < 11 * short


def calls_made(function: Callable[[str], object], text: str) -> int:
    """How many functions are called, in Python and in C: the same on every machine, however busy it is."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        function(text)
    finally:
        sys.setprofile(None)
    return calls
