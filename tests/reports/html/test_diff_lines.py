"""swerl_eval.reports.html.diff_lines."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.lexers.python import PythonLexer

from swerl_eval.core.diffs import file_diff
from swerl_eval.reports.html import diff_lines
from swerl_eval.reports.html.diff_lines import MOST_CHARACTERS, MOST_LINES, TOKEN_CLASSES, LineTable

DIFF = """\
diff --git a/pkg/a.py b/pkg/a.py
index 1111111..2222222 100644
--- a/pkg/a.py
+++ b/pkg/a.py
@@ -1,3 +1,3 @@ class A:
 def f(x):
-    return "a"
+    return x + 1  # more
\x20
"""


def shown(table: LineTable, numbers: list[int]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each line with its highlighted pieces: text and class."""
    lines = table.lines()
    pieces = []
    for text, spans in (lines[number] for number in numbers):
        units, place, marked = text.encode("utf-16-le"), 0, []
        for length, number in zip(spans[::2], spans[1::2], strict=True):
            piece = units[2 * place : 2 * (place + length)].decode("utf-16-le")
            place += length
            if number:
                marked.append((piece, TOKEN_CLASSES[number]))
        pieces.append((text, marked))
    return pieces


def test_code_is_highlighted_and_headers_are_plain():
    table = LineTable()
    assert shown(table, table.diff(DIFF)) == [
        ("diff --git a/pkg/a.py b/pkg/a.py", []),
        ("index 1111111..2222222 100644", []),
        ("--- a/pkg/a.py", []),
        ("+++ b/pkg/a.py", []),
        ("@@ -1,3 +1,3 @@ class A:", []),
        (" def f(x):", [("def", "k"), ("f", "nf")]),
        ('-    return "a"', [("return", "k"), ('"a"', "s")]),
        ("+    return x + 1  # more", [("return", "k"), ("1", "m"), ("# more", "c")]),
        (" ", []),
    ]


def test_diffs_that_are_alike_share_their_lines():
    table = LineTable()
    first = table.diff(DIFF)
    second = table.diff(DIFF.replace("x + 1", "x + 2"))
    assert second == [*first[:7], 9, first[8]]
    assert len(table.lines()) == 10


def test_a_removed_line_that_looks_like_a_header_is_code():
    table = LineTable()
    diff = "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n--- x.rst\n+++ 1\n-2\n+3\n"
    assert shown(table, table.diff(diff))[3:] == [
        ("--- x.rst", []),
        ("+++ 1", [("1", "m")]),
        ("-2", [("2", "m")]),
        ("+3", [("3", "m")]),
    ]


@pytest.mark.parametrize(
    ("header", "highlighted"),
    [
        ("+++ b/a.PY", True),
        ('+++ "b/\\303\\251.py"', True),
        ("+++ b/a.py\t2026-01-01", True),
        ("+++ b/a.cfg", False),
        ("+++ b/py", False),
        ("+++ b/a.unknown", False),
    ],
)
def test_the_file_name_says_how_a_line_is_read(header: str, highlighted: bool):
    table = LineTable()
    line = shown(table, table.diff(f"--- /dev/null\n{header}\n@@ -0,0 +1 @@\n+return 1"))[-1]
    assert (line[1] == [("return", "k"), ("1", "m")]) is highlighted


def test_a_removed_file_is_read_by_its_old_name():
    table = LineTable()
    assert shown(table, table.diff("--- a/a.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-None"))[-1] == (
        "-None",
        [("None", "kc")],
    )


def test_the_note_on_a_missing_line_end_is_plain():
    table = LineTable()
    diff = file_diff("a.py", "for", "if")
    assert shown(table, table.diff(diff))[-4:] == [
        ("-for", [("for", "k")]),
        ("\\ No newline at end of file", []),
        ("+if", [("if", "k")]),
        ("\\ No newline at end of file", []),
    ]


def test_lengths_are_those_of_javascript():
    table = LineTable()
    (number,) = table.script('x = "\U0001f600" if y')
    assert table.lines()[number] == ('x = "\U0001f600" if y', (4, 0, 4, TOKEN_CLASSES.index("s"), 1, 0, 2, 1))


def test_a_script_is_python_without_a_prefix():
    table = LineTable()
    assert shown(table, table.script("import os\n\nprint(1)\n")) == [
        ("import os", [("import", "k")]),
        ("", []),
        ("print(1)", [("print", "nb"), ("1", "m")]),
    ]


def test_an_empty_patch_has_no_lines():
    assert LineTable().diff("") == []
    assert LineTable().script("") == []


def test_of_a_long_diff_the_beginning_is_shown_and_the_rest_is_counted():
    table = LineTable()
    diff = file_diff("a.py", "", "".join(f"{number}\n" for number in range(5000)))
    lines = [text for text, _ in shown(table, table.diff(diff))]
    assert len(lines) == MOST_LINES + 1
    assert lines[-2:] == ["+1994", "… 3005 more lines are not shown"]
    exactly = "x\n" * MOST_LINES
    assert len(table.script(exactly)) == MOST_LINES
    assert shown(table, table.script(exactly + "y"))[-1] == ("… 1 more lines are not shown", [])


def test_of_a_long_line_the_beginning_is_shown():
    table = LineTable()
    ((text, marked),) = shown(table, table.script("'" + "a" * 5000 + "'"))
    assert text == "'" + "a" * (MOST_CHARACTERS - 1) + f" … {5002 - MOST_CHARACTERS} more characters"
    assert marked in ([], [(text[:MOST_CHARACTERS], "s")])


def test_a_lone_surrogate_is_replaced():
    table = LineTable()
    assert shown(table, table.script("'\udcff' # \ud800"))[0] == ("'?' # ?", [("'?'", "s"), ("# ?", "c")])


def test_the_quick_lexer_reads_this_repository_as_pygments_own_does():
    slow, quick = PythonLexer(), diff_lines._lexer("python")
    files = [*Path(diff_lines.__file__).parents[2].rglob("*.py")][::10]
    lines = {line for file in files for line in file.read_text(encoding="utf-8").split("\n")}
    assert len(lines) > 1000

    def classes(lexer: PythonLexer, line: str) -> list[int]:
        tokens = lexer.get_tokens_unprocessed(line + "\n")
        return [diff_lines._class_number(token) for _, token, value in tokens for _ in value]

    # in docstrings, Pygments' own finds no format such as %s
    lines = {line for line in lines if not line.strip().startswith('"""')}
    different = [line for line in lines if classes(quick, line) != classes(slow, line)]
    assert different == []


UNITS = [
    "(",
    "'\\",
    "<a ",
    "{{",
    "*_`",
    "a",
    "[",
    "/",
    "=",
    "x=",
    "<!--",
    "$(",
    '"',
    "`",
    "a.b:",
    "1e",
    "&",
    "#",
    "r'",
    " ",
    "/*",
]
HOSTILE = [(unit * 600)[:600] for unit in UNITS]


@pytest.mark.parametrize("suffix", sorted(diff_lines._LEXERS))
def test_no_hostile_line_takes_long(suffix: str):
    body = "".join(f"+{line}\n" for line in HOSTILE)
    diff_lines._lexer(diff_lines._LEXERS[suffix])
    began = time.process_time()
    LineTable().diff(f"+++ b/a{suffix}\n@@ -0,0 +1,{len(HOSTILE)} @@\n{body}")
    assert time.process_time() - began < 2


@given(
    st.sampled_from(sorted(diff_lines._LEXERS)),
    st.text(max_size=80) | st.text("'\"(){}<>&#/*\\=-+:.,@ \tabdefirs01\U0001f600", max_size=80),
)
def test_spans_cover_the_text_from_its_start_and_no_more(suffix: str, code: str):
    table = LineTable()
    code = code.replace("\n", " ")
    number = table.diff(f"+++ b/a{suffix}\n@@ -0,0 +1 @@\n+{code}")[-1]
    text, spans = table.lines()[number]
    assert text == "+" + code.encode("utf-8", "replace").decode("utf-8")
    assert 0 <= sum(spans[::2]) <= len(text.encode("utf-16-le")) // 2
    assert all(length > 0 for length in spans[::2])
    assert all(0 <= number < len(TOKEN_CLASSES) for number in spans[1::2])
    assert spans[-1:] != (0,)


@given(st.text("-+ @\\\n0123456789,abde/.py", max_size=300) | st.text(max_size=100))
def test_any_text_is_shown_whole(patch: str):
    table = LineTable()
    lines = [text for text, _ in shown(table, table.diff(patch))]
    assert "\n".join(lines) == patch.removesuffix("\n").encode("utf-8", "replace").decode("utf-8")
