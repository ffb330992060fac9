from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.evaluation import evaluation_run
from swerl_eval.evaluation.evaluation_run import cut
from swerl_eval.official.specification import START_MARKER

TOKEN = "0123abcd"
START = f"+ : '{START_MARKER}'\n".encode()


def cut_into(folder: Path, output: bytes) -> tuple[bytes, dict[str, str], bool]:
    (folder / "raw").write_bytes(output)
    marks, whole = cut(folder / "raw", TOKEN, folder, {"": "before", "APPLIED": "tests"})
    return (folder / "tests").read_bytes() if (folder / "tests").exists() else b"", marks, whole


def of_tests(text: bytes) -> bytes:
    return f"{TOKEN} APPLIED 1 git apply\n".encode() + text + f"\n{TOKEN} ENDED 0 2\n".encode()


@given(text=st.binary().filter(lambda text: TOKEN.encode() not in text))
def test_what_the_tests_print_is_kept_as_text(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    kept, marks, whole = cut_into(tmp_path_factory.mktemp("cut"), of_tests(text))
    assert kept.decode() == text.decode("utf-8", "replace")
    assert (marks, whole) == ({"APPLIED": "1 git apply", "ENDED": "0 2"}, True)


def test_nothing_printed_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(f"error\n{TOKEN} NOT-APPLIED\n".encode())
    cut(tmp_path / "raw", TOKEN, tmp_path, {"": "before", "APPLIED": "tests"})
    assert not (tmp_path / "tests").exists()
    assert (tmp_path / "before").read_bytes() == b"error"


def test_a_long_output_keeps_its_beginning_and_its_end_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_run, "SECTION_BYTES", 2000)
    monkeypatch.setattr(evaluation_run, "TAIL_BYTES", 500)
    lines = [b"line %d\n" % number for number in range(1000)]
    kept, _, whole = cut_into(tmp_path, of_tests(START + b"".join(lines)))
    assert not whole
    assert kept.startswith(START + b"line 0\nline 1\n")
    assert kept.endswith(b"line 998\nline 999\n")
    assert kept.count(b"bytes of output left out here]") == 1
    assert len(kept) < 2100


def test_what_comes_before_the_tests_never_costs_a_line_of_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_run, "SECTION_BYTES", 2000)
    monkeypatch.setattr(evaluation_run, "TAIL_BYTES", 500)
    tests = START + b"".join(b"PASSED t::%d\n" % number for number in range(30))
    kept, _, whole = cut_into(tmp_path, of_tests(b"shown by git\n" * 1000 + tests))
    assert whole
    assert kept.endswith(tests)
    assert kept.startswith(b"shown by git\n")
    assert len(kept) < 3000


def test_a_second_opening_line_makes_no_more_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_run, "SECTION_BYTES", 2000)
    monkeypatch.setattr(evaluation_run, "TAIL_BYTES", 500)
    kept, _, whole = cut_into(tmp_path, of_tests(START * 1000))
    assert not whole
    assert len(kept) < 2100
