"""Rows of a dataset from wherever they lie."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.errors import InputError, SourceError, UnknownInstanceError, UsageError
from swerl_eval.core.types import Instance
from swerl_eval.sources.choice import Choice
from swerl_eval.sources.datasets import DatasetSource, fingerprint, load_rows, open_dataset
from swerl_eval.sources.repositories import Repositories

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "swerl_eval" / "demo" / "suite"
DATA = ROOT.parent / "shared" / "data"


def row(instance_id: Any = "o__n-1", **changed: Any) -> dict[str, Any]:
    return {
        "instance_id": instance_id,
        "repo": "o/n",
        "base_commit": "c" * 40,
        "problem_statement": "It fails.\u2028\r\n",
        "patch": "gold",
        "test_patch": "tests",
        "FAIL_TO_PASS": '["a"]',
        "PASS_TO_PASS": "[]",
        "version": "1.0",
        "image": "registry/image:latest",
        "eval_script": "#!/bin/bash\n",
        "log_parser": "parse_log_pytest",
        "eval_type": "pass_and_fail",
        "created_at": "2020-01-01",
        "difficulty": "<15 min fix",
        **changed,
    }


ALL = Choice()

ROWS = [row("o__n-2"), row("o__n-1", difficulty=None), row("o__n-3")]


def written(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    file = folder / name
    if name.endswith(".parquet"):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    elif name.endswith(".csv"):
        with file.open("w", newline="") as table:
            writer = csv.DictWriter(table, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif name.endswith((".jsonl", ".jsonl.gz", "lines.json")):
        text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows).encode()
        file.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    else:
        file.write_text(json.dumps(rows, indent=1))
    return file


def opened(folder: Path, rows: list[dict[str, Any]], choice: Choice = ALL, name: str = "d.jsonl") -> DatasetSource:
    return open_dataset(str(written(folder, name, rows)), "test", choice, Repositories(folder / "cache"))


# -- files


@pytest.mark.parametrize("name", ["d.parquet", "d.jsonl", "d.json", "d.jsonl.gz", "lines.json"])
def test_rows_are_read_from_every_kind_of_file_in_their_order(tmp_path: Path, name: str):
    assert load_rows(str(written(tmp_path, name, ROWS)), "test") == ROWS


def test_a_csv_file_gives_the_same_instances_with_the_empty_text_for_null(tmp_path: Path):
    patch = "-old\r\n" + '+"new", and more\n' * 20_000
    rows = [row("o__n-2", patch=patch), row("o__n-1", difficulty=None)]
    table, lines = (opened(tmp_path, rows, name=name) for name in ("d.csv", "d.jsonl"))
    assert table.instances() == lines.instances()
    assert table.oracle("o__n-2").patch == patch
    assert table.oracle("o__n-2").row["FAIL_TO_PASS"] == ["a"]


def saved(folder: Path, batches: list[list[dict[str, Any]]]) -> Path:
    """A folder as `Dataset.save_to_disk` leaves it, of one Arrow stream for each batch."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05}-of-{len(batches):05}.arrow" for number in range(len(batches))]
    for name, rows in zip(names, batches, strict=True):
        table = pyarrow.Table.from_pylist(rows)
        with pyarrow.ipc.new_stream(folder / name, table.schema) as stream:
            stream.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_a_folder_that_datasets_saved_is_read_of_one_split_or_of_several(tmp_path: Path):
    assert load_rows(str(saved(tmp_path / "one", [ROWS[:2], ROWS[2:]])), "test") == ROWS
    saved(tmp_path / "several" / "dev", [ROWS[:1]])
    saved(tmp_path / "several" / "test", [ROWS])
    (tmp_path / "several" / "dataset_dict.json").write_text('{"splits": ["dev", "test"]}')
    assert load_rows(str(tmp_path / "several"), "test") == ROWS
    assert load_rows(str(tmp_path / "several"), "dev") == ROWS[:1]
    with pytest.raises(SourceError, match=re.escape("has no split 'train'; it has: dev, test")):
        load_rows(str(tmp_path / "several"), "train")


def test_a_folder_of_parquet_files_is_read_by_their_split(tmp_path: Path):
    (tmp_path / "data").mkdir()
    written(tmp_path / "data", "test-00001-of-00002.parquet", ROWS[2:])
    written(tmp_path / "data", "test-00000-of-00002.parquet", ROWS[:2])
    written(tmp_path / "data", "dev-00000-of-00001.parquet", ROWS[:1])
    assert load_rows(str(tmp_path), "test") == ROWS
    with pytest.raises(SourceError, match=re.escape("has no split 'train'; it has: dev, test")):
        load_rows(str(tmp_path), "train")


@pytest.mark.parametrize("state", ["", "{}", '{"_data_files": [{"filename": "gone.arrow"}]}', "[1]"])
def test_a_damaged_folder_of_a_saved_dataset_is_named(tmp_path: Path, state: str):
    (tmp_path / "state.json").write_text(state)
    with pytest.raises(SourceError, match=re.escape(f"{tmp_path} is not a readable folder of `save_to_disk`: ")):
        load_rows(str(tmp_path), "test")


def test_a_folder_that_is_no_dataset_is_told_from_one_with_what_is_read(tmp_path: Path):
    with pytest.raises(InputError, match=re.escape(f"the folder {tmp_path} is no dataset: ")):
        load_rows(str(tmp_path), "test")


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path: Path):
    file = tmp_path / "d.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}')
    assert load_rows(str(file), None) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("name", ["d.parquet", "d.jsonl", "d.json"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str):
    with pytest.raises(UsageError) as caught:
        load_rows(str(tmp_path / name), None)
    assert str(caught.value) == f"there is no dataset file {tmp_path / name}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.jsonl", b'{"a": 1}\n\n{"a": \n', "d.jsonl, line 3: "),
        ("d.jsonl", b'{"a": 1}\n[1]\n', "d.jsonl, line 2: "),
        ("d.jsonl", b"null\n", "d.jsonl, line 1: "),
        ("d.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', "d.jsonl, line 2: "),
        ("d.json", b'[{"a": 1},\n}', "d.json, line 2: "),
        ("d.json", b'{"a": 1}', "d.json, entry 1: expected an object, found int"),
        ("d.json", b"[1]", "d.json, entry 1: expected an object, found int"),
        ("d.json", b'{"a": 1}\n{"a": 2}\n{"a": \n', "d.json, line 3: "),
        ("d.json", b"3", "d.json: expected a list of rows, or an object by instance id"),
        ("d.jsonl.gz", b"no gzip at all", "d.jsonl.gz is not a whole gzip file: "),
        ("d.jsonl.gz", gzip.compress(b'{"a": 1}\n', mtime=0)[:-9], "d.jsonl.gz is not a whole gzip file: "),
        ("d.csv", b"a,b\n1,2\n1\n", "d.csv, line 3: another number of fields than in the first line"),
        ("d.csv", b"a,b\n1,2,3\n", "d.csv, line 2: another number of fields than in the first line"),
        ("d.csv", b'a,b\n1,"2\n', "d.csv, after line 1: unexpected end of data"),
        ("d.csv", b"a,b\n1,\xff\n", "d.csv, after line "),
        ("d.xlsx", b"PK", "d.xlsx is not a known kind of file of rows; name one that ends in .parquet, .jsonl, "),
        ("d.json", b'[{"a": "\xff"}]', "d.json, line 1: "),
    ],
)
def test_a_malformed_file_is_named_with_the_place(tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_rows(str(tmp_path / name), None)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_damaged_parquet_file_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "d.parquet").write_bytes(content)
    with pytest.raises(SourceError, match=re.escape(f"{tmp_path / 'd.parquet'} is not a readable parquet file")):
        load_rows(str(tmp_path / "d.parquet"), None)


@settings(deadline=None)
@given(
    st.one_of(
        st.binary(), st.lists(st.sampled_from([b'{"a": 1}', b"\n", b"[", b"]", b",", b"\xff", b"{"])).map(b"".join)
    ),
    st.sampled_from(["any.jsonl", "any.json", "any.jsonl.gz", "any.csv"]),
)
def test_any_bytes_give_rows_or_an_input_error_that_names_the_file(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
):
    file = tmp_path_factory.getbasetemp() / f"dataset-{name}"
    file.write_bytes(content)
    try:
        assert all(isinstance(each, dict) for each in load_rows(str(file), None))
    except InputError as error:
        assert str(error).startswith(str(file))


# -- task repositories


def test_the_bundled_suite_is_a_task_repository():
    rows = load_rows(str(SUITE), "test")
    packages = ("inkwell", "ledgerly", "waypost")
    assert sorted(each["instance_id"] for each in rows) == [f"demo__{p}-{n}" for p in packages for n in (1, 2, 3)]
    assert {each["repo"] for each in rows} == {f"demo/{package}" for package in packages}
    assert load_rows(str(SUITE), None) == rows


def test_a_split_that_a_task_repository_lacks_is_answered_with_those_it_has():
    with pytest.raises(SourceError) as caught:
        load_rows(str(SUITE), "dev")
    assert str(caught.value) == f"{SUITE} has no task in split 'dev'; it has: test"


@pytest.mark.parametrize("content", [b"instance_id: o__n-1\n", b"a: [\n", b"- a\n", b"\xff", b""])
def test_a_damaged_task_repository_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "tasks" / "o__n-1").mkdir(parents=True)
    (tmp_path / "tasks" / "o__n-1" / "task.yaml").write_bytes(content)
    with pytest.raises((InputError, SourceError), match=re.escape(str(tmp_path))):
        load_rows(str(tmp_path), "test")


def test_the_bundled_suite_passes_every_check(tmp_path: Path):
    source = open_dataset(str(SUITE), "test", Choice(instances=["demo__waypost-*"]), Repositories(tmp_path))
    assert {instance.repo for instance in source.instances()} == {"demo/waypost"}
    assert len(source.all_ids) == 9


# -- names of the hub


def test_an_unknown_name_is_answered_with_what_there_is():
    with pytest.raises(UsageError) as caught:
        load_rows("verifed", "test")
    assert str(caught.value) == (
        "unknown dataset 'verifed': neither a file, nor a task repository, nor one of "
        "full, lite, multilingual, multimodal, verified, nor a hub id (owner/name)"
    )


def test_aliases_stand_for_hub_ids_and_an_unreachable_hub_is_told_with_the_remedy(tmp_path: Path):
    # in a process of its own, since the hub's library reads these variables when it is imported
    code = (
        "import sys\n"
        "from swerl_eval.core.errors import SourceError\n"
        "from swerl_eval.sources.datasets import load_rows\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        load_rows(name, 'test')\n"
        "    except SourceError as error:\n"
        "        print(error)\n"
    )
    names = ["lite", " Lite ", "verified", "FULL", "owner/name"]
    offline = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *names], env=offline, cwd=tmp_path, capture_output=True, text=True
    )
    found = re.findall(r"^cannot read (\S+) \(.*\); check the name, the network and HF_TOKEN, or ", done.stdout, re.M)
    assert found == [
        "SWE-bench/SWE-bench_Lite",
        "SWE-bench/SWE-bench_Lite",
        "SWE-bench/SWE-bench_Verified",
        "SWE-bench/SWE-bench",
        "owner/name",
    ], done.stderr


# -- what a row must have


def test_instances_come_in_the_dataset_s_order_and_hold_no_answer(tmp_path: Path):
    source = opened(tmp_path, ROWS, Choice(instances=["o__n-1", "o__n-2"]))
    assert source.instances() == [
        Instance(
            instance_id=name,
            repo="o/n",
            base_commit="c" * 40,
            problem_statement="It fails.\u2028\r\n",
            image="registry/image:latest",
            version="1.0",
            created_at="2020-01-01",
            difficulty=difficulty,
        )
        for name, difficulty in (("o__n-2", "<15 min fix"), ("o__n-1", ""))
    ]
    assert source.all_ids == {"o__n-1", "o__n-2", "o__n-3"}


def test_the_oracle_holds_the_answer_and_the_row_with_its_lists_as_lists(tmp_path: Path):
    oracle = opened(tmp_path, ROWS).oracle("o__n-2")
    row_with_lists = {**ROWS[0], "FAIL_TO_PASS": ["a"], "PASS_TO_PASS": []}
    assert (oracle.instance_id, oracle.patch, oracle.test_patch) == ("o__n-2", "gold", "tests")
    assert oracle.row == row_with_lists


def test_changing_an_oracle_s_row_does_not_change_the_dataset(tmp_path: Path):
    source = opened(tmp_path, ROWS)
    before = source.oracle("o__n-2").row
    source.oracle("o__n-2").row.clear()
    assert source.oracle("o__n-2").row == before


def test_rows_of_before_swebench_5_are_told_by_the_columns_they_lack(tmp_path: Path):
    old = row("o__n-9", environment_setup_commit="c" * 40)
    for column in ("image", "eval_script", "log_parser", "eval_type"):
        del old[column]
    with pytest.raises(InputError) as caught:
        opened(tmp_path, [row(), old])
    assert str(caught.value) == (
        f"{tmp_path / 'd.jsonl'}, row 2 (o__n-9) lacks image, eval_script, log_parser, eval_type; rows of before "
        "swebench 5 have no eval_script, log_parser, eval_type and image: use the dataset's current revision "
        "(SWE-bench/SWE-bench_Verified) or a task repository"
    )


def test_a_null_column_is_a_missing_one(tmp_path: Path):
    with pytest.raises(InputError, match=re.escape("row 1 (o__n-1) lacks image;")):
        opened(tmp_path, [row(image=None)])


def test_a_row_without_an_id_is_named_by_its_number(tmp_path: Path):
    with pytest.raises(InputError, match=re.escape("row 2 (without instance_id) lacks instance_id,")):
        opened(tmp_path, [row(), {"repo": "o/n"}])


def test_an_id_that_is_no_text_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=re.escape("row 1: instance_id must be a text, found 7")):
        opened(tmp_path, [row(instance_id=7)])


def test_an_id_that_occurs_twice_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=re.escape("d.jsonl, row 3: o__n-1 occurs twice")):
        opened(tmp_path, [row(), row("o__n-2"), row()])


@pytest.mark.parametrize("name", ["d.jsonl", "d.json"])
def test_a_dataset_without_rows_is_named(tmp_path: Path, name: str):
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / name} has no rows")):
        opened(tmp_path, [], name=name)


def test_a_choice_is_made_among_the_rows(tmp_path: Path):
    with pytest.raises(UnknownInstanceError, match=re.escape("'o__n-4'; did you mean")):
        opened(tmp_path, ROWS, Choice(instances=["o__n-4"]))


# -- the fingerprint


def test_the_fingerprint_is_the_same_whatever_the_kind_of_file(tmp_path: Path):
    names = ("d.parquet", "d.jsonl", "d.json")
    assert len({opened(tmp_path, ROWS, name=name).fingerprint for name in names}) == 1


def test_the_fingerprint_covers_the_chosen_rows_alone(tmp_path: Path):
    chosen = opened(tmp_path, ROWS, Choice(instances=["o__n-1"])).fingerprint
    assert chosen == opened(tmp_path, [ROWS[1]]).fingerprint != opened(tmp_path, ROWS).fingerprint


VALUES = st.one_of(
    st.text(max_size=5), st.integers(-(2**40), 2**40), st.none(), st.lists(st.text(max_size=3), max_size=2)
)
CONTENT = st.dictionaries(st.sampled_from(["patch", "version", "repo"]), VALUES)


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=3), CONTENT, min_size=1, max_size=4), st.integers(0, 99))
def test_the_order_of_rows_and_columns_does_not_change_the_fingerprint(content: dict[str, Any], seed: int):
    rows = [{"instance_id": name, **values} for name, values in content.items()]
    turned = [dict(reversed(each.items())) for each in rows]
    random.Random(seed).shuffle(turned)
    assert fingerprint(turned) == fingerprint(rows)


@settings(deadline=None)
@given(CONTENT, CONTENT)
def test_rows_of_different_content_have_different_fingerprints(one: dict[str, Any], two: dict[str, Any]):
    same = fingerprint([{"instance_id": "i", **one}]) == fingerprint([{"instance_id": "i", **two}])
    assert same == (one == two)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real dataset is not here (../shared/data)")
@pytest.mark.parametrize(("name", "count"), [("SWE-bench_Verified", 500), ("SWE-bench_Lite", 300)])
def test_the_real_datasets_pass_every_check(tmp_path: Path, name: str, count: int):
    source = open_dataset(str(DATA / f"{name}.parquet"), "test", Choice(), Repositories(tmp_path))
    assert len(source.instances()) == len(source.all_ids) == count
    assert all(instance.problem_statement and instance.image for instance in source.instances())
