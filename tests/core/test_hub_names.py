"""Names of datasets with revisions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.core.hub_names import split_revision


@pytest.mark.parametrize(
    ("dataset", "parts"),
    [
        ("verified", ("verified", None)),
        ("verified@v1.0", ("verified", "v1.0")),
        (" Lite@main ", ("Lite", "main")),
        ("owner/name@refs/pr/3", ("owner/name", "refs/pr/3")),
        ("owner/name@a@b", ("owner/name", "a@b")),
        ("owner/name@", ("owner/name", "")),
        ("@v1", ("@v1", None)),
        ("owner/@v1", ("owner/@v1", None)),
        ("rows@2.parquet", ("rows", "2.parquet")),
        ("./rows@2", ("./rows@2", None)),
        ("../rows@2", ("../rows@2", None)),
        ("~/rows@2", ("~/rows@2", None)),
        ("/data/rows@2", ("/data/rows@2", None)),
        ("a/b/c@2", ("a/b/c@2", None)),
        ("", ("", None)),
    ],
)
def test_a_revision_stands_behind_the_first_at_of_a_name_of_the_hub(dataset: str, parts: tuple[str, str | None]):
    assert split_revision(dataset) == parts


@given(st.text("ab/.@ \n\\", max_size=12))
def test_both_parts_make_the_name_again(dataset: str):
    name, revision = split_revision(dataset)
    if revision is None:
        assert name == dataset
    else:
        assert f"{name}@{revision}" == dataset.strip()
        assert 0 <= name.count("/") <= 1
        assert "@" not in name
