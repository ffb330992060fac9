"""swerl_eval.reports.html.packing and swerl_eval.reports.html.bounds."""

from __future__ import annotations

import base64
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.reports.html.bounds import all_sendable, middle_left_out, names, shortened
from swerl_eval.reports.html.packing import PAGE_CHARACTERS, pack, packed_size, room_for_each

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXTS, inner),
)


@given(st.dictionaries(_TEXTS, _JSON))
def test_what_is_packed_is_the_raw_deflate_of_its_json(data: dict):
    document = zlib.decompress(base64.b64decode(pack(data), validate=True), wbits=-15)
    assert json.loads(document) == data


@given(st.dictionaries(_TEXTS, _JSON))
def test_the_size_is_that_of_the_packed_text_unless_the_text_itself_is_within_the_room(data: dict):
    length = len(pack(data))
    unpacked = len(base64.b64encode(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()))
    assert packed_size(data) == packed_size(data, unpacked - 1) == length
    assert packed_size(data, unpacked) == unpacked


@pytest.mark.parametrize(("instances", "room"), [(0, 10**6), (1, 10**6), (50, 450_000), (500, 45_000), (2294, 45_000)])
def test_the_room_of_a_page_is_shared_by_up_to_500_instances(instances: int, room: int):
    assert room_for_each(instances) == room
    assert min(instances, 500) * room <= PAGE_CHARACTERS


def test_the_middle_of_a_long_text_is_left_out():
    assert shortened("0123456789", 10) == "0123456789"
    assert shortened("0123456789", 5) == "01\n… 5 characters left out …\n789"
    assert shortened("0123456789", 1) == "\n… 9 characters left out …\n9"


def test_the_middle_of_many_lines_is_left_out():
    lines = [str(number) for number in range(100)]
    assert middle_left_out(lines, 100) == lines
    assert middle_left_out(lines, 8) == ["0", "1", "… 92 lines left out", "94", "95", "96", "97", "98", "99"]
    assert middle_left_out(lines, 1) == ["… 99 lines left out", "99"]


def test_names_are_cut_in_number_and_length():
    assert names(["a", "b" * 5000, "c"], 2) == ["a", "b" * 1000]


def test_lone_surrogates_are_replaced_wherever_they_are_and_control_characters_stay():
    value = {"\ud800": ["a\udcffb", {"x": "\x00\x1f\u2028"}, (1, None)], "é": 2.5}
    assert all_sendable(value) == {"?": ["a?b", {"x": "\x00\x1f\u2028"}, [1, None]], "é": 2.5}
    sound = {"é": ["\x00"]}
    assert all_sendable(sound) is sound
