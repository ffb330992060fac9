from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from swerl_eval.core.errors import InputError, UsageError
from swerl_eval.core.types import GOLD, HANDED_IN, MADE
from swerl_eval.records.manifest import read_manifest, write_manifest
from tests.records.test_run_folder import MANIFEST


def test_a_manifest_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    manifest = replace(MANIFEST, patches=HANDED_IN, submitted=("a__b-1",))
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest


@pytest.mark.parametrize("content", [b"{torn", b"[]", b'{"run_id": "r"}', b"\xff"])
def test_a_file_that_is_no_manifest_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(InputError, match=r"run\.json: not a manifest of this program \("):
        read_manifest(tmp_path)


def test_a_folder_without_one_is_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a run folder: it has no run\.json"):
        read_manifest(tmp_path)


def test_a_run_of_before_the_field_tells_where_its_patches_come_from() -> None:
    assert MANIFEST.patch_origin == MADE
    assert replace(MANIFEST, patches=GOLD).patch_origin == GOLD
    assert replace(MANIFEST, identity={"predictions": "0" * 64}).patch_origin == HANDED_IN


def test_instances_without_a_prediction_are_known_where_patches_were_given() -> None:
    assert MANIFEST.without_prediction == ()
    assert replace(MANIFEST, submitted=()).without_prediction == ("a__b-1",)
    assert replace(MANIFEST, submitted=("a__b-1",)).without_prediction == ()
