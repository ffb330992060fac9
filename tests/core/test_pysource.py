"""What two Python sources have in common when they behave alike."""

from __future__ import annotations

import ast
import threading
import time
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
    assert canonical(text) == (
        "class A\n Assign targets=[x,] value=1\n"
        " async def f args=arguments(args=[arg(arg=self,),],)\n  Return value='a'\n"
    )


def test_a_body_of_nothing_but_a_docstring_is_a_pass():
    form = "def f args=arguments()\n Pass\n"
    assert canonical('def f():\n    """Doc."""\n') == canonical("def f():\n    pass\n") == form


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
    assert canonical(text) == canonical(str(text)) == "def f args=arguments()\n Return value=1\n"


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
    forms = [
        f"def f{number} args=arguments()\n" + "".join(f" Assign targets=[x,] value={k}\n" for k in range(50))
        for number in range(len(texts))
    ]
    assert [found[number] for number in range(len(texts))] == forms


# The form does not depend on the Python that makes it. `ast.unparse` prints most of these otherwise in 3.10 or 3.11.
FORMS = {
    "f\"a{d['k']!r:>{w}}b\"": (
        "f['a',FormattedValue(value=Subscript(value=d,slice='k',),conversion=114,"
        "format_spec=f['>',FormattedValue(value=w,conversion=-1,),],),'b',]"
    ),
    "f'{x = }'": "f['x = ',FormattedValue(value=x,conversion=114,),]",
    "'a' f'{x}' 'b' f'c' ''": "f['a',FormattedValue(value=x,conversion=-1,),'bc',]",
    "f'{{}}{x}\\n'": "f['{}',FormattedValue(value=x,conversion=-1,),'\\n',]",
    "f'{x:\\n}'": "f[FormattedValue(value=x,conversion=-1,format_spec=f['\\n',],),]",
    "f'{x}\U0001fae8'": "f[FormattedValue(value=x,conversion=-1,),'\\U0001fae8',]",
    "g('\U0001fae8')": "Call(func=g,args=['\\U0001fae8',],)",
    "g(u'x')": "Call(func=g,args=['x',],)",
    "lambda: 0": "Lambda(args=arguments(),body=0,)",
    "x[a, b]": "Subscript(value=x,slice=Tuple(elts=[a,b,],),)",
    "1e999": "Constant(inf)",
    "inf": "inf",
    "0x" + "f" * 6000: "0x" + "f" * 6000,
}


@pytest.mark.parametrize(("text", "printed"), FORMS.items(), ids=[text[:20] for text in FORMS])
def test_every_version_of_python_prints_the_same_form(text: str, printed: str):
    assert canonical(text) == f"Expr value={printed}\n"


def test_blocks_other_than_bodies_are_named():
    assert canonical("for a, b in c:\n    pass\nelse:\n    d\n") == (
        "For target=Tuple(elts=[a,b,],) iter=c\n Pass\norelse\n Expr value=d\n"
    )
    assert (
        canonical("if a:\n    b\nelif c:\n    d\n") == "If test=a\n Expr value=b\norelse\n If test=c\n  Expr value=d\n"
    )
    assert canonical("try:\n    a\nexcept E as e:\n    b\nfinally:\n    c\n") == (
        "Try\n Expr value=a\nhandlers\n ExceptHandler type=E name=e\n  Expr value=b\nfinalbody\n Expr value=c\n"
    )
    assert canonical("match x:\n    case [1, *r] if y: pass\n") == (
        "Match subject=x\ncases\n match_case pattern="
        "MatchSequence(patterns=[MatchValue(value=1,),MatchStar(name=r,),],) guard=y\n  Pass\n"
    )


def test_a_decorator_stands_in_the_line_of_its_function():
    assert canonical("@p\ndef f(): pass\n") == "def f args=arguments() decorator_list=[p,]\n Pass\n"


def test_a_deep_tree_has_a_form_whatever_the_depth_of_the_call():
    text = "x" + ".y" * 400 + " + 1" * 400 + "\n"  # `ast.unparse` gives up on it
    form = canonical(text)
    assert form.startswith("Expr value=BinOp(left=BinOp(")

    def deeper(levels: int) -> str:
        return deeper(levels - 1) if levels else canonical.__wrapped__(text)

    assert deeper(100) == form


# -- bytes


BOM_FILE = "\ufeffdef f(x):\n    return x + 1\n"
LATIN_FILE = "# -*- coding: latin-1 -*-\nn = 'J\udcf6rg'\nm = 1\n"


@pytest.mark.parametrize("text", [BOM_FILE, LATIN_FILE, LATIN_FILE.replace("\n", "\r\n")])
def test_a_source_is_parsed_as_the_bytes_that_python_reads(text: str):
    assert parse(text) is not None
    assert breaks_syntax(text, text + "x = (\n")
    assert canonical(text + "# why\n") == canonical(text)


def test_a_declared_coding_decides_what_a_string_holds():
    assert canonical(LATIN_FILE).startswith("Assign targets=[n,] value='J\\xf6rg'\n")


@pytest.mark.parametrize(
    "text",
    [
        "x = '\udcf6'\n",
        "# coding: ascii\nx = '\udcf6'\n",
        "# coding: none-such\nx = 1\n",
        "# coding: rot13\nx = 1\n",
        "# coding: punycode\nx = 1\n",
        "\ufeff# coding: latin-1\nx = 1\n",
    ],
)
def test_a_source_whose_bytes_are_not_in_its_coding_does_not_parse(text: str):
    assert parse(text) is None


def test_a_coding_that_takes_time_without_bound_is_not_tried():
    start = time.thread_time()
    assert parse("# coding: punycode\n" + "x-" + "b" * 1_000_000) is None
    assert time.thread_time() - start < 5  # 0.01 s; minutes where the codec is run


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
def test_the_canonical_form_is_ascii_and_holds_no_comment(text: str):
    form = canonical(text)
    assert form.isascii()
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
