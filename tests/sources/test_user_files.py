"""Predictions and file lists from anybody: every shape in use, and errors that say where."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.errors import InputError
from swerl_eval.sources.user_files import Predictions, read_file_lists, read_predictions

KNOWN = frozenset({"o__n-1", "o__n-2", "o__n-3"})
DIFF = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n+y\n"


def entry(instance_id: Any = "o__n-1", model: Any = "m", patch: Any = DIFF) -> dict[str, Any]:
    return {"instance_id": instance_id, "model_name_or_path": model, "model_patch": patch}


def lines(*entries: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in entries)


def read(tmp_path: Path, content: bytes, name: str = "preds.jsonl") -> Predictions:
    file = tmp_path / name
    file.write_bytes(content)
    return read_predictions(file, KNOWN)


def complaint(tmp_path: Path, content: bytes, name: str = "preds.jsonl") -> str:
    """The message, without the folder that the test's file lies in."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, content, name)
    return str(caught.value).replace(f"{tmp_path}/", "")


TWO = Predictions("m", {"o__n-1": DIFF, "o__n-2": ""})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("preds.jsonl", lines(entry(), entry("o__n-2", patch=None))),
        ("preds.jsonl", b"\n" + lines(entry()) + b"  \n\r\n" + lines(entry("o__n-2", patch="")).rstrip()),
        ("preds.jsonl", lines(entry(), entry("o__n-2", patch="")).replace(b"\n", b"\r\n")),
        ("preds.jsonl", b"\xef\xbb\xbf" + lines(entry(), entry("o__n-2", patch=""))),
        ("preds.jsonl.gz", gzip.compress(lines(entry(), entry("o__n-2", patch="")))),
        ("preds.json", json.dumps([entry(), entry("o__n-2", patch=None)], indent=2).encode()),
        ("preds.json", b"\xef\xbb\xbf" + json.dumps([entry(), entry("o__n-2", patch=None)]).encode()),
        ("preds.json", lines(entry(), entry("o__n-2", patch=None))),
        ("preds.json", json.dumps({"o__n-1": entry(), "o__n-2": entry("o__n-2", patch="")}).encode()),
        (
            "preds.json",
            json.dumps(
                {
                    "o__n-1": {"model_name_or_path": "m", "model_patch": DIFF},
                    "o__n-2": {"model_name_or_path": "m", "model_patch": None},
                }
            ).encode(),
        ),
    ],
    ids=[
        "lines",
        "blank lines",
        "CRLF",
        "byte order mark",
        "packed lines",
        "list",
        "list after a byte order mark",
        "lines under the name of a document",
        "object of predictions",
        "object by id",
    ],
)
def test_every_shape_of_predictions_in_use_is_read(tmp_path: Path, name: str, content: bytes):
    assert read(tmp_path, content, name) == TWO


def test_other_fields_of_a_prediction_are_passed_over(tmp_path: Path):
    assert read(tmp_path, lines({**entry(), "cost": 1.5, "trajectory": []})) == Predictions("m", {"o__n-1": DIFF})


@pytest.mark.parametrize("name", ["preds.jsonl", "preds.json"])
@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e", "\r", "\r\n"])
def test_other_line_separators_within_a_patch_are_kept(tmp_path: Path, name: str, separator: str):
    patch = f"+one{separator}two\n"
    document: Any = entry(patch=patch) if name.endswith("l") else [entry(patch=patch)]
    content = json.dumps(document, ensure_ascii=False).encode()
    assert read(tmp_path, content, name) == Predictions("m", {"o__n-1": patch})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines(entry(), entry("o__n-2"))[:-2], "preds.jsonl, line 2: not valid JSON: "),
        (lines(entry()) + b"\n{bad}\n", "preds.jsonl, line 3: not valid JSON: "),
        (lines(entry()) + b"\xff\xfe\n", "preds.jsonl, line 2: not valid UTF-8: "),
        (lines(entry("o__n-2")) + lines(entry()).replace(b'"m"', b'"\xe9"'), "preds.jsonl, line 2: not valid UTF-8: "),
        (lines(None), "preds.jsonl, line 1: expected an object, found NoneType"),
        (lines(entry(), [entry("o__n-2")]), "preds.jsonl, line 2: expected an object, found list"),
        (
            lines({"model_name_or_path": "m", "model_patch": ""}),
            "preds.jsonl, line 1: there is no instance_id; its keys are 'model_name_or_path', 'model_patch'",
        ),
        (lines(entry(instance_id=7)), "preds.jsonl, line 1: instance_id must be a text, found 7"),
        (lines(entry(instance_id="")), "preds.jsonl, line 1: instance_id must be a text, found ''"),
        (lines(entry(model=None)), "preds.jsonl, line 1: model_name_or_path must be a text, found None"),
        (lines(entry(model=["m"])), "preds.jsonl, line 1: model_name_or_path must be a text, found ['m']"),
        (lines(entry(patch=["x"])), "preds.jsonl, line 1: model_patch must be a text or null, found list"),
        (lines(entry(patch=0)), "preds.jsonl, line 1: model_patch must be a text or null, found int"),
        (lines(entry(patch=float("inf"))), "preds.jsonl, line 1: model_patch must be a text or null, found float"),
        (b"[" * 100_000 + b"\n", "preds.jsonl, line 1: not valid JSON: nested too deeply"),
        (b"\n" + lines(entry(), entry()), "preds.jsonl, line 3: a second prediction for o__n-1"),
        (lines(entry(), entry("x__y-1")), "preds.jsonl, line 2: the dataset has no instance 'x__y-1'"),
        (
            lines(entry(), entry("o__n-2", model="other")),
            "preds.jsonl, line 2: model 'other', but 'm' before; one file holds one model's predictions",
        ),
        (b"", "preds.jsonl holds no predictions"),
        (b"\n\n", "preds.jsonl holds no predictions"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, content: bytes, message: str):
    assert complaint(tmp_path, content).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[\n{"instance_id": }]', "preds.json, line 2: "),
        (b"[\xff]", "preds.json, line 1: "),
        (b"[" * 5000, "preds.json, line 1: "),
        (b"", "preds.json, line 1: "),
        (b"3", "preds.json: expected a list of predictions, or an object by instance id"),
        (b'"o__n-1"', "preds.json: expected a list of predictions, or an object by instance id"),
        (b"[]", "preds.json holds no predictions"),
        (b"{}", "preds.json holds no predictions"),
        (json.dumps([entry(), 3]).encode(), "preds.json, entry 2: expected an object, found int"),
        (
            json.dumps({"o__n-1": entry(), "o__n-2": DIFF}).encode(),
            "preds.json, entry 2: expected an object, found str",
        ),
        (json.dumps([entry(), entry()]).encode(), "preds.json, entry 2: a second prediction for o__n-1"),
        (json.dumps([entry("x__y-1")]).encode(), "preds.json, entry 1: the dataset has no instance 'x__y-1'"),
        (lines(entry(), entry("o__n-2"))[:-2], "preds.json, line 2: not valid JSON: "),
    ],
)
def test_a_malformed_entry_of_a_document_is_named(tmp_path: Path, content: bytes, message: str):
    assert complaint(tmp_path, content, "preds.json").startswith(message)


KEYS = "'instance_id', 'model_name_or_path', "
NO_PATCH = 'preds.jsonl, line 2: there is no model_patch (null or "" is an empty patch, an absent key is none); '


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("patch", "", "; did you mean 'patch'? Rename it"),
        ("prediction", DIFF, "; did you mean 'prediction'? Rename it"),
        ("model_patch ", DIFF, "; did you mean 'model_patch '? Rename it"),
        ("Model-Patch", DIFF, "; did you mean 'Model-Patch'? Rename it"),
        ("model_pach", DIFF, "; did you mean 'model_pach'? Rename it"),
        ("final_edit", DIFF, "; did you mean 'final_edit'? Rename it"),
        ("cost", 1.5, ""),
    ],
)
def test_an_absent_key_is_no_empty_patch_and_the_keys_that_are_there_are_named(
    tmp_path: Path, key: str, value: Any, hint: str
):
    other = {"instance_id": "o__n-2", "model_name_or_path": "m", key: value}
    assert complaint(tmp_path, lines(entry(), other)) == f"{NO_PATCH}its keys are {KEYS}{key!r}{hint}"


@pytest.mark.parametrize(
    ("key", "other", "hint"),
    [
        ("instance_id", "id", "; did you mean 'id'? Rename it"),
        ("model_name_or_path", "model", "; did you mean 'model'? Rename it"),
        ("model_name_or_path", "model_name", "; did you mean 'model_name'? Rename it"),
    ],
)
def test_the_other_keys_under_other_names_are_told_the_same_way(tmp_path: Path, key: str, other: str, hint: str):
    odd = entry()
    odd[other] = odd.pop(key)
    said = complaint(tmp_path, lines(odd))
    assert said.startswith(f"preds.jsonl, line 1: there is no {key}; its keys are ")
    assert said.endswith(hint)


def test_nan_and_infinity_in_other_fields_are_read(tmp_path: Path):
    costs = {"cost": float("nan"), "time": float("inf"), "score": float("-inf"), "note": "\ud800"}
    assert read(tmp_path, lines({**entry(), **costs})) == Predictions("m", {"o__n-1": DIFF})


@pytest.mark.parametrize("surrogate", ["\udce9", "\ud800", "\udfff"])
def test_a_patch_with_a_lone_surrogate_is_unusable_and_the_others_are_not(tmp_path: Path, surrogate: str):
    found = read(tmp_path, lines(entry(patch=f"{DIFF}{surrogate}\n"), entry("o__n-2")))
    escaped = repr(surrogate).strip("'")
    assert found.patches == {"o__n-1": f"{DIFF}{escaped}\n", "o__n-2": DIFF}
    reason = f"line 7 of the patch holds the lone surrogate {surrogate!r}, which no file can hold"
    assert found.unusable == {"o__n-1": reason}


def test_a_patch_of_nan_is_unusable_and_not_empty(tmp_path: Path):
    found = read(tmp_path, lines(entry(patch=float("nan")), entry("o__n-2")))
    assert found.patches["o__n-1"]
    assert found.unusable == {"o__n-1": "its model_patch is NaN and no text; an empty patch is null"}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("..", "'..' cannot name a folder"),
        (".", "'.' cannot name a folder"),
        (" ", "' ' cannot name a folder"),
        ("a\x00b", "'a\\x00b' holds characters that no name of a file can have"),
        ("a\nb", "'a\\nb' holds characters that no name of a file can have"),
        ("\udce9", "'\\udce9' holds characters that no name of a file can have"),
        ("x" * 151, "has 151 bytes, and names of files are made of it: at most 150; shorten it"),
        ("é" * 76, "has 152 bytes, and names of files are made of it: at most 150; shorten it"),
    ],
)
def test_a_model_s_name_that_no_file_can_be_named_after_is_said_with_its_line(tmp_path: Path, model: str, said: str):
    content = lines(entry(model=model, patch=""))
    assert complaint(tmp_path, content).startswith(f"preds.jsonl, line 1: model_name_or_path {said}")


@pytest.mark.parametrize("model", ["org/model-7b", "/models/a b", "é" * 75, "a..b", "-x"])
def test_names_of_models_in_use_are_taken(tmp_path: Path, model: str):
    assert read(tmp_path, lines(entry(model=model))).model_name == model


def test_the_digest_tells_other_patches_and_not_their_order():
    one = Predictions("m", {"a": "x", "b": "y"})
    assert one.digest == Predictions("m", {"b": "y", "a": "x"}).digest
    others = [
        Predictions("n", {"a": "x", "b": "y"}),
        Predictions("m", {"a": "x"}),
        Predictions("m", {"a": "x", "b": ""}),
        Predictions("m", {"a": "x", "b": "y"}, {"a": "why"}),
    ]
    assert len({each.digest for each in (one, *others)}) == 5
    assert one.of(["a", "z"]).digest == Predictions("m", {"a": "x"}).digest


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=re.escape(f"there is no file {tmp_path / 'none.jsonl'}")):
        read_predictions(tmp_path / "none.jsonl", KNOWN)


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    assert complaint(tmp_path, lines(entry()), "preds.csv") == "preds.csv: expected a .jsonl or .json file"


PATCH = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(KNOWN)), PATCH, min_size=1),
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=10).filter(
        lambda n: n not in {".", ".."}
    ),
    st.booleans(),
)
def test_predictions_survive_a_round_trip_through_any_shape(
    tmp_path_factory: pytest.TempPathFactory, patches: dict[str, str], model: str, ascii_only: bool
):
    folder = tmp_path_factory.getbasetemp()
    entries = [entry(name, model, patch) for name, patch in patches.items()]
    written = {
        "round.jsonl": "".join(json.dumps(each, ensure_ascii=ascii_only) + "\n" for each in entries),
        "list.json": json.dumps(entries, ensure_ascii=ascii_only),
        "object.json": json.dumps({each["instance_id"]: each for each in entries}, ensure_ascii=ascii_only),
    }
    for name, text in written.items():
        assert read(folder, text.encode(), name) == Predictions(model, patches)


FRAGMENTS = st.sampled_from(
    [
        lines(entry()),
        lines(entry("o__n-2")),
        lines(entry("o__n-3", patch=None)),
        b"\n",
        b"\r\n",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"null",
        b'"o__n-1":',
        b"\xef\xbb\xbf",
        b"\xff",
        b"\x00",
        b"1e999",
        b"NaN",
        b"9" * 5000,
        b'"\\udce9"',
        b'{"instance_id": "o__n-1"}\n',
    ]
)
BYTES = st.one_of(st.binary(), st.lists(FRAGMENTS, max_size=8).map(b"".join))


@settings(deadline=None)
@given(BYTES, st.sampled_from(["any.jsonl", "any.json", "any.jsonl.gz", "any.json.gz"]))
def test_any_bytes_give_predictions_or_an_input_error_that_names_the_file(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
):
    folder = tmp_path_factory.getbasetemp()
    try:
        found = read(folder, content, name)
    except InputError as error:
        assert str(error).startswith(str(folder / name))
        return
    assert set(found.patches) <= KNOWN
    assert found.patches


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.floats(), st.integers(), st.text(st.characters(codec=None)), st.just("o__n-1")
    ),
    lambda each: st.one_of(
        st.lists(each, max_size=3),
        st.dictionaries(
            st.sampled_from(["instance_id", "model_name_or_path", "model_patch", "patch", "o__n-1"]), each, max_size=4
        ),
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON, st.booleans())
def test_any_json_gives_predictions_that_can_be_stored_or_an_input_error_that_names_the_place(
    tmp_path_factory: pytest.TempPathFactory, value: Any, as_lines: bool
):
    folder = tmp_path_factory.getbasetemp()
    entries = value if as_lines and isinstance(value, list) else [value]
    name, content = ("all.jsonl", lines(*entries)) if as_lines else ("all.json", json.dumps(value).encode())
    try:
        found = read(folder, content, name)
    except InputError as error:
        assert re.match(re.escape(str(folder / name)) + "(, (line|entry) [0-9]+: |: expected | holds no )", str(error))
        str(error).encode()
        return
    assert all(each.encode() is not None for each in (found.model_name, *found.patches.values()))
    assert set(found.unusable) <= set(found.patches) <= KNOWN


@settings(deadline=None)
@given(BYTES, st.sampled_from(["loc.jsonl", "loc.json"]))
def test_any_bytes_give_file_lists_or_an_input_error_that_names_the_file(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
):
    file = tmp_path_factory.getbasetemp() / name
    file.write_bytes(content)
    try:
        assert set(read_file_lists(file, KNOWN)) <= KNOWN
    except InputError as error:
        assert str(error).startswith(str(file))


# -- lists of files


def file_lists(tmp_path: Path, *entries: Any) -> dict[str, tuple[tuple[str, ...], ...]]:
    file = tmp_path / "loc.jsonl"
    file.write_bytes(lines(*entries))
    return read_file_lists(file, KNOWN)


def test_one_list_of_files_or_several_are_read(tmp_path: Path):
    found = file_lists(
        tmp_path,
        {"instance_id": "o__n-1", "found_files": ["a.py", "b.py"], "additional_artifact_loc_file": {}},
        {"instance_id": "o__n-2", "found_files": [["a.py"], ["b.py", "a.py"]]},
    )
    assert found == {"o__n-1": (("a.py", "b.py"),), "o__n-2": (("a.py",), ("b.py", "a.py"))}


def test_equal_lists_count_once_and_empty_ones_not_at_all(tmp_path: Path):
    found = file_lists(
        tmp_path,
        {"instance_id": "o__n-1", "found_files": [["b.py"], [], ["a.py"], ["b.py"]]},
        {"instance_id": "o__n-2", "found_files": []},
        {"instance_id": "o__n-3", "found_files": [[]]},
    )
    assert found == {"o__n-1": (("b.py",), ("a.py",)), "o__n-2": (), "o__n-3": ()}


def test_lists_for_other_instances_are_passed_over_whatever_they_hold(tmp_path: Path):
    other = {"instance_id": "x__y-1", "found_files": None}
    assert file_lists(tmp_path, other, {"instance_id": "o__n-1", "found_files": ["a.py"]}) == {"o__n-1": (("a.py",),)}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"found_files": ["a.py"]}, "line 2: no instance_id"),
        ({"instance_id": 3, "found_files": ["a.py"]}, "line 2: no instance_id"),
        (["a.py"], "line 2: expected an object, found list"),
        ({"instance_id": "o__n-1", "found_files": ["a.py"]}, "line 2: a second line for o__n-1"),
        ({"instance_id": "o__n-2"}, "line 2: found_files must be a list of paths, or a list of such lists"),
        ({"instance_id": "o__n-2", "found_files": "a.py"}, "line 2: found_files must be a list of paths"),
        ({"instance_id": "o__n-2", "found_files": ["a.py", ["b.py"]]}, "line 2: found_files must be a list of paths"),
        ({"instance_id": "o__n-2", "found_files": [["a.py", 1]]}, "line 2: found_files must be a list of paths"),
        ({"instance_id": "o__n-2", "found_files": {"a.py": 1}}, "line 2: found_files must be a list of paths"),
    ],
)
def test_a_malformed_line_of_file_lists_is_named(tmp_path: Path, bad: Any, message: str):
    with pytest.raises(InputError) as caught:
        file_lists(tmp_path, {"instance_id": "o__n-1", "found_files": ["a.py"]}, bad)
    assert str(caught.value).startswith(f"{tmp_path / 'loc.jsonl'}, {message}")
