from __future__ import annotations

from pathlib import Path

from swerl_eval.core.types import Instance
from swerl_eval.scheduling.instance_order import Durations, by_repository


def instance(name: str, repo: str = "a/b") -> Instance:
    return Instance(name, repo, "", "", "")


def order(durations: Durations, instances: list[Instance], tests: dict[str, int]) -> list[str]:
    return [instance.instance_id for instance in durations.longest_first(instances, tests)]


def test_the_longest_known_one_comes_first_and_unknown_ones_stand_where_their_repository_does(tmp_path: Path) -> None:
    durations = Durations(tmp_path / "d.json")
    durations.record({"fast": 1.0, "slow": 60.0, "other": 30.0})
    instances = [instance("fast"), instance("new"), instance("slow"), instance("other", "c/d")]
    # a/b takes 30.5 seconds in the middle
    assert order(Durations(tmp_path / "d.json"), instances, {}) == ["slow", "new", "other", "fast"]


def test_where_nothing_is_known_the_number_of_tests_decides_and_equal_ones_keep_their_order(tmp_path: Path) -> None:
    durations = Durations(tmp_path / "d.json")
    instances = [instance(name) for name in "abcd"]
    assert order(durations, instances, {"a": 1, "b": 9, "c": 1, "d": 5}) == ["b", "d", "a", "c"]


def test_two_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    one, other = Durations(tmp_path / "d.json"), Durations(tmp_path / "d.json")
    one.record({"a": 1.0})
    other.record({"b": 2.0})
    assert order(Durations(tmp_path / "d.json"), [instance("a"), instance("b")], {}) == ["b", "a"]


def test_a_file_that_is_no_record_or_cannot_be_written_is_treated_as_missing(tmp_path: Path) -> None:
    for content in (b"{torn", b"[1]", b'{"a": "x"}'):
        (tmp_path / "d.json").write_bytes(content)
        assert order(Durations(tmp_path / "d.json"), [instance("a"), instance("b")], {"b": 1}) == ["b", "a"]
    Durations(Path("/proc/none/d.json")).record({"a": 1.0})


def test_with_a_budget_the_instances_of_a_repository_follow_each_other_by_version_and_time() -> None:
    def of(name: str, repo: str, version: str, created: str) -> Instance:
        return Instance(name, repo, "", "", f"x/{name}:latest", version, created)

    instances = [
        of("b-10", "b/b", "3.2", "2020"),
        of("a-1", "a/a", "1", "2021"),
        of("b-2", "b/b", "3.10", "2019"),
        of("b-9", "b/b", "3.2", "2020"),
        of("a-2", "a/a", "1", "2020"),
        of("b-3", "b/b", "3.2", "2018"),
    ]
    ordered = [instance.instance_id for instance in by_repository(instances)]
    assert ordered == ["b-3", "b-9", "b-10", "b-2", "a-2", "a-1"]
    assert by_repository([]) == []
