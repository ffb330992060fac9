"""Which instances a run is about."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.errors import InputError, UnknownInstanceError, UsageError
from swerl_eval.sources.choice import Choice, choose, shard_of


def row(instance_id: str, repo: str, difficulty: str | None = None) -> dict[str, Any]:
    return {"instance_id": instance_id, "repo": repo, "difficulty": difficulty}


ROWS = [
    row("sympy__sympy-2", "sympy/sympy", "<15 min fix"),
    row("django__django-10", "django/django", "1-4 hours"),
    row("sympy__sympy-1", "sympy/sympy", "1-4 hours"),
    row("django__django-11", "django/django"),
    row("psf__requests-1", "psf/requests", "<15 min fix"),
]


def chosen(**choice: Any) -> list[str]:
    return [each["instance_id"] for each in choose(ROWS, Choice(**choice))]


def test_without_a_choice_all_rows_are_kept_in_the_dataset_s_order():
    assert choose(ROWS, Choice()) == ROWS


def test_instances_are_chosen_by_id_in_the_dataset_s_order():
    assert chosen(instances=["psf__requests-1", "sympy__sympy-2"]) == ["sympy__sympy-2", "psf__requests-1"]


def test_an_instance_that_is_named_twice_is_kept_once():
    assert chosen(instances=["psf__requests-1", "psf__*"]) == ["psf__requests-1"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("sympy__*", ["sympy__sympy-2", "sympy__sympy-1"]),
        ("*-1?", ["django__django-10", "django__django-11"]),
        ("*-1[1-9]", ["django__django-11"]),
        ("*", [each["instance_id"] for each in ROWS]),
    ],
)
def test_instances_are_chosen_by_globs(pattern: str, found: list[str]):
    assert chosen(instances=[pattern]) == found


def test_an_id_with_the_letters_of_a_glob_is_first_of_all_an_id():
    rows = [row("o__n[1]-1", "o/n"), row("o__n1-1", "o/n")]
    assert [each["instance_id"] for each in choose(rows, Choice(instances=["o__n[1]-1"]))] == ["o__n[1]-1"]


def test_one_argument_may_hold_several_ids():
    assert chosen(instances=["sympy__sympy-1, psf__*,"]) == ["sympy__sympy-1", "psf__requests-1"]


@pytest.mark.parametrize("content", ["# mine\nsympy__sympy-1  # why\n\n  psf__*  \n", "\ufeffsympy__sympy-1\r\npsf__*"])
def test_instances_are_read_from_a_file_with_comments(tmp_path: Path, content: str):
    file = tmp_path / "ids.txt"
    file.write_bytes(content.encode())
    assert chosen(instances=[f"@{file}"]) == ["sympy__sympy-1", "psf__requests-1"]


def test_an_unknown_id_is_answered_with_the_nearest():
    with pytest.raises(UnknownInstanceError) as caught:
        chosen(instances=["sympy__simpy-1"])
    assert str(caught.value) == (
        "the dataset has no instance 'sympy__simpy-1'; did you mean sympy__sympy-1, sympy__sympy-2?"
    )


def test_an_id_that_resembles_none_is_answered_without_a_guess():
    with pytest.raises(UnknownInstanceError) as caught:
        chosen(instances=["zzz"])
    assert str(caught.value) == "the dataset has no instance 'zzz'"


def test_a_glob_that_matches_nothing_is_an_error():
    with pytest.raises(UnknownInstanceError, match=re.escape("no instance 'flask__*'")):
        chosen(instances=["sympy__*", "flask__*"])


def test_an_unknown_id_in_a_file_is_named_with_its_line(tmp_path: Path):
    file = tmp_path / "ids.txt"
    file.write_text("# mine\nsympy__sympy-1\n\nnone # here\n")
    with pytest.raises(UnknownInstanceError, match=re.escape(f"{file}, line 4: the dataset has no instance 'none'")):
        chosen(instances=[f"@{file}"])


def test_a_list_of_instances_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(InputError) as caught:
        chosen(instances=[f"@{tmp_path / 'none.txt'}"])
    assert str(caught.value) == f"cannot read the list of instances {tmp_path / 'none.txt'}: No such file or directory"


def test_a_list_of_instances_that_is_not_text_is_named(tmp_path: Path):
    file = tmp_path / "ids.txt"
    file.write_bytes(b"sympy\xff\n")
    with pytest.raises(InputError, match=re.escape(f"{file} is not UTF-8 text")):
        chosen(instances=[f"@{file}"])


@settings(deadline=None)
@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_any_list_of_instances_gives_a_choice_or_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
):
    file = tmp_path_factory.getbasetemp() / "any-ids.txt"
    file.write_bytes(content)
    try:
        assert set(chosen(instances=[f"@{file}"])) <= {each["instance_id"] for each in ROWS}
    except UsageError as error:
        assert str(file) in str(error) or str(error).startswith("no instance is left")


def test_rows_are_chosen_by_repository_and_difficulty():
    assert chosen(repos=["sympy/sympy"]) == ["sympy__sympy-2", "sympy__sympy-1"]
    assert chosen(difficulties=["1-4 hours"]) == ["django__django-10", "sympy__sympy-1"]
    assert chosen(repos=["sympy/sympy", "psf/requests"], difficulties=["<15 min fix"]) == [
        "sympy__sympy-2",
        "psf__requests-1",
    ]


def test_an_unknown_value_is_answered_with_those_there_are():
    with pytest.raises(UsageError) as caught:
        chosen(repos=["flask/flask"])
    assert str(caught.value) == (
        "no instance has repo 'flask/flask'; there are: django/django, psf/requests, sympy/sympy"
    )
    with pytest.raises(UsageError, match="there are: none"):
        choose([row("o__n-1", "o/n")], Choice(difficulties=["easy"]))


def test_the_limit_counts_what_the_rest_of_the_choice_leaves():
    assert chosen(limit=2) == ["sympy__sympy-2", "django__django-10"]
    assert chosen(repos=["django/django"], limit=1) == ["django__django-10"]
    assert chosen(limit=100) == [each["instance_id"] for each in ROWS]


def test_a_choice_that_leaves_nothing_is_an_error():
    with pytest.raises(UsageError, match="no instance is left"):
        chosen(instances=[" , "])


# -- shards


def test_shards_divide_what_is_chosen():
    shards = [chosen(shard=f"{part}/3", limit=4) for part in (1, 2, 3)]
    assert sorted(name for shard in shards for name in shard) == sorted(chosen(limit=4))


def test_a_shard_may_be_empty():
    assert [name for part in range(1, 101) for name in chosen(shard=f"{part}/100", limit=1)] == ["sympy__sympy-2"]


def test_the_number_of_a_shard_never_changes():
    # a change of these moves instances between the machines of a run that is under way
    numbers = {name: shard_of(name, 4) for name in ("sympy__sympy-1", "django__django-10", "psf__requests-1")}
    assert numbers == {"sympy__sympy-1": 4, "django__django-10": 1, "psf__requests-1": 1}


IDS = st.lists(st.text(min_size=1, max_size=8), min_size=1, unique=True)


@settings(deadline=None)
@given(IDS, st.integers(1, 7))
def test_every_instance_is_in_exactly_one_shard(ids: list[str], parts: int):
    rows = [row(name, "o/n") for name in ids]
    shards = [choose(rows, Choice(shard=f"{part}/{parts}")) for part in range(1, parts + 1)]
    assert sorted(each["instance_id"] for shard in shards for each in shard) == sorted(ids)


@settings(deadline=None)
@given(IDS, st.integers(1, 7), st.randoms(use_true_random=False))
def test_adding_and_reordering_instances_moves_no_other(ids: list[str], parts: int, rng):
    fewer = [row(name, "o/n") for name in ids[: len(ids) // 2 + 1]]
    more = [row(name, "o/n") for name in ids]
    rng.shuffle(more)
    kept = {each["instance_id"] for each in fewer}
    for part in range(1, parts + 1):
        choice = Choice(shard=f"{part}/{parts}")
        before = {each["instance_id"] for each in choose(fewer, choice)}
        assert {each["instance_id"] for each in choose(more, choice)} & kept == before


def test_the_shards_of_a_dataset_s_size_are_of_like_size():
    ids = [f"owner__name-{number}" for number in range(500)]
    counts = [sum(shard_of(name, 5) == part for name in ids) for part in range(1, 6)]
    assert sum(counts) == 500
    assert min(counts) > 70
