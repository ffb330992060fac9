"""JSON and JSON lines that users bring: what is read, and how an error is worded."""

from __future__ import annotations

import gzip
from itertools import islice
from pathlib import Path

import pytest

from swerl_eval.core.errors import InputError
from swerl_eval.records.json_files import read_entries, read_lines

REMEDY = "; correct it or delete it"


def complaint(file: Path) -> str:
    with pytest.raises(InputError) as caught:
        list(read_entries(file, "rows"))
    return str(caught.value)


def test_lines_come_with_their_places(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(b'{"a": 1}\n\n \t\n{"a": "\xe2\x80\xa8"}')
    assert list(read_lines(file)) == [(f"{file}, line 1", {"a": 1}), (f"{file}, line 4", {"a": "\u2028"})]


def test_a_line_is_read_only_when_it_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(b'{"a": 1}\n{"a": 2}\n{torn')
    assert [line for _, line in islice(read_lines(file), 2)] == [{"a": 1}, {"a": 2}]


def test_a_file_of_another_name_is_read_as_lines_where_lines_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'{"a": 1}\n{"a": 2}\n')
    (tmp_path / "x.txt.gz").write_bytes(gzip.compress(b'{"a": 1}\n{"a": 2}\n'))
    for name in ("x.json", "x.txt.gz"):
        assert [line for _, line in read_lines(tmp_path / name)] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b'{"a": 1}\n{"a": }\n', f"x.jsonl, line 2: not valid JSON: Expecting value at character 7{REMEDY}"),
        ("x.jsonl", b"[1]\n", f"x.jsonl, line 1: expected an object, found list{REMEDY}"),
        (
            "x.jsonl",
            b'{"a": "\xff"}\n',
            "x.jsonl, line 1: not valid UTF-8: invalid start byte; save the file as UTF-8",
        ),
        ("x.jsonl", b'{"a":' * 10**5, f"x.jsonl, line 1: not valid JSON: nested too deeply{REMEDY}"),
        ("x.json", b'[{"a": 1},\n{"a": }]', f"x.json, line 2: not valid JSON: Expecting value at character 7{REMEDY}"),
        ("x.json", b'[{"a": 1},\n2]', f"x.json, entry 2: expected an object, found int{REMEDY}"),
        ("x.json", b'[\n"\xff"]', "x.json, line 2: not valid UTF-8: invalid start byte; save the file as UTF-8"),
        ("x.json", b"", f"x.json, line 1: not valid JSON: Expecting value at character 1{REMEDY}"),
        ("x.json", b"3", "x.json: expected a list of rows, or an object by instance id; write it as one of them"),
    ],
)
def test_an_error_says_the_file_the_line_what_is_wrong_and_the_remedy(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert complaint(tmp_path / name) == f"{tmp_path}/{message}"


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    assert complaint(tmp_path / "x.jsonl") == f"cannot read {tmp_path / 'x.jsonl'}: No such file or directory"
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 99)[:-9])
    assert complaint(tmp_path / "x.jsonl.gz").startswith(f"{tmp_path / 'x.jsonl.gz'} is not a whole gzip file: ")
