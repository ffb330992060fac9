"""What two Python sources have in common when they behave alike."""

from __future__ import annotations

import ast
import threading
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.pysource import breaks_syntax, canonical, parse

UNPARSABLE = ["def f(:\n", "x = (\n", "\tx\n  y\n", "x = 1\0\n", "\ud800\n", "(" * 5000, "-" * 100_000 + "1"]


@pytest.mark.parametrize("text", UNPARSABLE, ids=[repr(text[:9]) for text in UNPARSABLE])
def test_what_does_not_parse_has_no_tree(text: str):
    assert parse(text) is None


def test_a_source_that_warns_parses_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(parse("x = '\\d'\ny = 1 is 1\n"), ast.Module)


def test_comments_docstrings_and_layout_are_left_out():
    text = (
        '"""Module."""\n'
        "# comment\n\n"
        "class  A :\n"
        '    """Class."""\n\n'
        "    x = ( 1 )  # one\n"
        "    async def f( self ):\n"
        "        'Doc.'\n"
        '        return "a"\n'
    )
    assert canonical(text) == "class A:\n    x = 1\n\n    async def f(self):\n        return 'a'\n"


def test_a_body_of_nothing_but_a_docstring_is_a_pass():
    assert canonical('def f():\n    """Doc."""\n') == canonical("def f():\n    pass\n") == "def f():\n    pass\n"


def test_a_module_of_nothing_but_a_docstring_is_empty():
    assert canonical('"""Doc."""\n') == canonical("# nothing\n") == canonical("") == "\n"


def test_a_text_that_is_not_first_is_no_docstring():
    assert canonical("x = 1\n'text'\n") != canonical("x = 1\n")


def test_an_f_string_and_bytes_in_the_place_of_a_docstring_are_kept():
    assert canonical("def f():\n    f'{x}'\n    return 1\n") != canonical("def f():\n    return 1\n")
    assert canonical("def f():\n    b'x'\n    return 1\n") != canonical("def f():\n    return 1\n")


def test_what_does_not_parse_is_kept_but_for_blank_lines_and_trailing_blanks():
    assert canonical("def f(:  \n\n    # why\n\tx \r\n") == "def f(:\n    # why\n\tx\n"


def test_asking_twice_gives_the_same_form():
    text = 'def f():\n    """Doc."""\n    return 1\n'
    assert canonical(text) == canonical(str(text)) == "def f():\n    return 1\n"


def test_an_edit_breaks_the_syntax_only_of_what_parsed_before():
    assert breaks_syntax("x = 1\n", "x = (\n")
    assert not breaks_syntax("x = 1\n", "x = 2\n")
    assert not breaks_syntax("print 'python 2'\n", "print 'two'\n")
    assert not breaks_syntax("x = (\n", "x = 1\n")


def test_a_new_file_that_does_not_parse_breaks_the_syntax():
    assert breaks_syntax("", "x = (\n")


def test_sources_are_parsed_in_several_threads_at_once():
    texts = [f"def f{number}():\n" + "".join(f"    x = {k}\n" for k in range(50)) for number in range(64)]
    found: dict[int, str] = {}

    def work(part: int) -> None:
        for number in range(part, len(texts), 4):
            found[number] = canonical(texts[number])

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(len(texts))] == texts


STATEMENTS = st.lists(
    st.sampled_from(
        [
            "x = 1",
            "def f(a, b=2): return a",
            "class A: pass",
            "'text'",
            "if x:\n    '''Doc.'''\n    y = [i for i in x]",
            "def g():\n    '''Doc.'''",
            "async def h():\n    'Doc.'\n    'more'\n    await x",
            "# comment",
            "",
            "@d\ndef k(): '''Doc.'''; return 1",
        ]
    )
).map(lambda parts: "\n".join(parts) + "\n")


@settings(deadline=None)
@given(STATEMENTS)
def test_the_canonical_form_parses_and_holds_no_comment(text: str):
    form = canonical(text)
    assert parse(form) is not None
    assert "#" not in form


@settings(deadline=None)
@given(STATEMENTS, st.sampled_from(["\n", "\n\n", "  # why\n", "\r\n"]))
def test_another_layout_has_the_same_canonical_form(text: str, end: str):
    assert canonical(text.replace("\n", end)) == canonical(text)


@settings(deadline=None)
@given(st.one_of(st.text(), STATEMENTS.map(lambda text: text[: len(text) // 2])))
def test_any_text_has_a_canonical_form_that_ends_its_last_line(text: str):
    form = canonical(text)
    assert form == "" or form.endswith("\n")
    assert breaks_syntax(text, text) is False
