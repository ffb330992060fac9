"""What tells a list from prose."""

from __future__ import annotations

import pytest

from swerl_eval.core.answers.list_lines import goes_on, json_strings, leads


@pytest.mark.parametrize(
    "prefix", ["", "- ", "1. ", "* [x] ", "### ", "File: `", "| ", "1. **Model** - ", "files = [", "[the file]("]
)
def test_bullets_and_labels_lead_an_entry(prefix: str) -> None:
    assert leads(prefix, code=False)


@pytest.mark.parametrize("prefix", ["we should look at ", "not: ", "all of the files that matter: ", "x" * 1001 + ":"])
def test_sentences_and_denials_lead_none(prefix: str) -> None:
    assert not leads(prefix, code=False)


def test_a_hash_in_code_begins_a_comment() -> None:
    assert leads("# ", code=False)
    assert not leads("# ", code=True)


@pytest.mark.parametrize(
    ("gap", "listed"), [(", ", True), ("` and `", True), (" (the model), ", True), (" is not ", False)]
)
def test_entries_go_on_after_a_comma_or_and(gap: str, listed: bool) -> None:
    assert goes_on(gap) is listed


def test_strings_of_json_come_in_order_with_their_keys() -> None:
    assert list(json_strings(' {"files": ["a", {"b": "c"}], "n": 1} ')) == ["files", "a", "b", "c", "n"]
    assert list(json_strings("[not json")) == list(json_strings('"text"')) == []
