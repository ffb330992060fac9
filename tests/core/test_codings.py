"""Byte order marks and declared codings: what a model is shown of a file, and the way back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.codings import declared_coding, legible, sendable, sendable_bytes, stored


def snapshot(data: bytes) -> str:
    """A file as `Snapshot.read` gives it."""
    return data.decode("utf-8", "surrogateescape")


BOM_FILE = snapshot(b"\xef\xbb\xbfx = 1\n")
LATIN_FILE = snapshot(b"# -*- coding: latin-1 -*-\nn = 'J\xf6rg'\n")


@pytest.mark.parametrize(
    ("head", "coding"),
    [
        (b"x = 1\n", "utf-8"),
        (b"# coding: latin-1\n", "iso8859-1"),
        (b"#!/usr/bin/python\r\n# vim: set fileencoding=cp1252 :\r\n", "cp1252"),
        (b"\n# coding=koi8-r\n", "koi8-r"),
        (b"# caf\xe9\n# coding: latin-1\n", "iso8859-1"),
        (b"\xef\xbb\xbf# coding: utf-8-sig\n", "utf-8"),
        (b"# coding: UTF8", "utf-8"),
        (b"x = 1\n# coding: latin-1\n", "utf-8"),
        (b"\n\n# coding: latin-1\n", "utf-8"),
        (b"x = '# coding: latin-1'\n", "utf-8"),
        (b"# coding: none-such\n", ""),
        (b"# coding: idna\n", ""),
        (b"", "utf-8"),
    ],
)
def test_a_coding_is_declared_in_a_comment_of_the_first_two_lines(head: bytes, coding: str):
    assert declared_coding(head) == coding


def test_a_byte_order_mark_is_not_shown_and_stays():
    assert legible(BOM_FILE) == "x = 1\n"
    assert stored("x = 2\n", BOM_FILE) == snapshot(b"\xef\xbb\xbfx = 2\n")


def test_a_declared_coding_is_read_and_written():
    assert legible(LATIN_FILE) == "# -*- coding: latin-1 -*-\nn = 'Jörg'\n"
    edited = legible(LATIN_FILE).replace("Jörg", "Jürgen")
    assert stored(edited, LATIN_FILE).encode("utf-8", "surrogateescape") == edited.encode("latin-1")


def test_a_character_that_the_coding_lacks_cannot_be_stored():
    with pytest.raises(UnicodeEncodeError):
        stored(legible(LATIN_FILE) + "m = '→'\n", LATIN_FILE)


@pytest.mark.parametrize("original", [None, "x = 1\n", BOM_FILE])
def test_half_a_surrogate_pair_cannot_be_stored(original: str | None):
    with pytest.raises(UnicodeEncodeError):
        stored("x = '\ud800'\n", original)


def test_an_edit_of_the_declaration_changes_the_coding_of_the_file():
    edited = legible(LATIN_FILE).replace("latin-1", "utf-8")
    assert stored(edited, LATIN_FILE) == "# -*- coding: utf-8 -*-\nn = 'Jörg'\n"


def test_a_new_file_is_written_in_the_coding_that_it_declares():
    assert stored("x = 'é'\n", None) == "x = 'é'\n"
    assert stored("# coding: latin-1\nx = 'é'\n", None) == snapshot(b"# coding: latin-1\nx = '\xe9'\n")


@pytest.mark.parametrize(
    "data", [b"x = '\xe9'\n", b"# coding: ascii\nx = '\xc3\xa9'\n", b"# coding: none-such\n\xe9", b"# coding: hex\nff"]
)
def test_a_file_that_is_not_in_its_coding_is_left_as_it_is(data: bytes):
    text = snapshot(data)
    assert legible(text) == text
    assert stored(text + "y = 'é'\n", text) == text + "y = 'é'\n"


DECLARED = st.sampled_from(
    ["latin-1", "utf-8", "cp1252", "koi8-r", "shift_jis", "utf-7", "utf-16", "ascii", "unicode_escape", "rot13", "no"]
).map(lambda name: f"# coding: {name}\n".encode())


@settings(deadline=None)
@given(st.sampled_from([b"", b"\xef\xbb\xbf", b"#!x\n"]), st.one_of(st.just(b""), DECLARED), st.binary(max_size=30))
def test_what_is_shown_of_any_file_leads_back_to_its_bytes(start: bytes, head: bytes, rest: bytes):
    text = snapshot(start + head + rest)
    assert stored(legible(text), text) == text


@given(st.text(st.characters()) | st.text(st.characters(categories=["Cs", "Lu", "So"])))
def test_a_sendable_text_differs_in_lone_surrogates_alone(text: str) -> None:
    expected = "".join("?" if "\ud800" <= character <= "\udfff" else character for character in text)
    assert sendable(text) == expected
    assert sendable_bytes(text) == expected.encode()
