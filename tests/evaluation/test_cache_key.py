from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.core.types import Limits
from swerl_eval.evaluation.cache_key import CacheKey

texts = st.text(st.characters(exclude_categories=()), max_size=30)  # lone surrogates too: patches are not always UTF-8
values: dict[str, st.SearchStrategy[Any]] = {
    **{field.name: texts for field in fields(CacheKey)},
    "specification": st.dictionaries(texts, st.lists(texts, max_size=3), max_size=3),
    "limits": st.builds(
        Limits,
        st.none() | st.integers(1),
        st.none() | st.floats(0.5, 64),
        st.none() | st.integers(1, 9999),
        st.sampled_from(["bridge", "none"]),
        st.none() | st.integers(1),
    ),
    "environment": st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    "timeout": st.floats(1, 1e6),
    "meaning": st.integers(0, 99),
}
conditions = st.builds(CacheKey, **values)


@pytest.mark.parametrize("name", [field.name for field in fields(CacheKey)])
def test_any_changed_condition_changes_the_key(name: str) -> None:
    @given(base=conditions, other=values[name])
    def check(base: CacheKey, other: Any) -> None:
        changed = replace(base, **{name: other})
        assert (changed.digest("official") == base.digest("official")) is (changed == base)

    check()


@given(base=conditions)
def test_the_parts_of_an_evaluation_have_keys_of_their_own(base: CacheKey) -> None:
    assert len({base.digest(part) for part in ("official", "strict", "gold")}) == 3


@given(base=conditions)
def test_equal_conditions_have_one_key_whatever_the_order_of_their_tables(base: CacheKey) -> None:
    turned = replace(base, specification=dict(reversed(list(base.specification.items()))))
    assert turned.digest("official") == base.digest("official")
    assert len(base.digest("official")) == 64
