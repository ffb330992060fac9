"""The verdicts of a run, counted without loading its journals."""

from __future__ import annotations

from pathlib import Path

import pytest

from swerl_eval.core.diffs import sha256
from swerl_eval.core.errors import InputError
from swerl_eval.core.types import Evaluation, Verdict
from swerl_eval.records.manifest import read_manifest
from swerl_eval.records.run_folder import Run, open_run
from swerl_eval.records.verdict_tally import InstanceVerdict, VerdictTally
from tests.reports.comparison_runs import NAMES, made

OLD_RUN = Path(__file__).parents[1] / "data" / "run-folder-0.1"


def as_the_journals_say(folder: Path) -> dict[str, InstanceVerdict]:
    run = Run(folder)
    evaluations = {name: run.evaluation_of(name) for name in run.manifest.instance_ids}
    return {
        name: InstanceVerdict(each.verdict.value, each.strict.value if each.strict else None)
        for name, each in evaluations.items()
        if each is not None
    }


def add(folder: Path, name: str, verdict: Verdict, patch: str = "") -> None:
    patch = patch or f"patch of {name}"
    with open_run(folder, read_manifest(folder)) as run:
        run.evaluations.append(Evaluation(name, sha256(patch), verdict))


def test_the_verdicts_are_those_of_the_journals(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", "RRuie." * 2, strict="RuuRee" * 2)
    tally = VerdictTally(folder)
    assert tally.update() == as_the_journals_say(folder)
    assert len(tally.update()) == 10
    assert VerdictTally(OLD_RUN).update() == as_the_journals_say(OLD_RUN)


def test_what_is_added_is_seen_and_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", "R....u" * 2)
    tally = VerdictTally(folder)
    tally.update()
    journal = folder / "evaluations.jsonl"
    before = journal.read_bytes()
    # what was read is made unreadable in its place: only what comes after it is looked at
    with journal.open("r+b") as file:
        file.write(b"x" * (len(before) - 1))
    add_line = before.splitlines()[0].replace(b'"resolved"', b'"timed_out"') + b"\n"
    with journal.open("ab") as file:
        file.write(add_line)
    assert tally.update()[NAMES[0]].official == "timed_out"


def test_a_later_verdict_replaces_an_earlier_one(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", "i" + "." * 11)
    tally = VerdictTally(folder)
    assert tally.update() == {NAMES[0]: InstanceVerdict("infra_error", "infra_error")}
    add(folder, NAMES[0], Verdict.RESOLVED)
    assert tally.update() == {NAMES[0]: InstanceVerdict("resolved", None)}


def test_verdicts_on_other_candidates_do_not_count(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", "u" + "." * 11)
    add(folder, NAMES[0], Verdict.RESOLVED, "another patch")
    assert VerdictTally(folder).update() == as_the_journals_say(folder)
    assert [each.official for each in VerdictTally(folder).update().values()] == ["unresolved"]


def test_a_line_that_is_being_written_waits_for_its_end(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", "R" + "." * 11)
    journal = folder / "evaluations.jsonl"
    whole = journal.read_bytes()
    tally = VerdictTally(folder)
    journal.write_bytes(whole[:50])
    assert tally.update() == {}
    with journal.open("ab") as file:
        file.write(whole[50:])
    assert list(tally.update()) == [NAMES[0]]


def test_a_file_that_is_another_one_is_read_anew(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", "RRRRRR" * 2)
    tally = VerdictTally(folder)
    assert len(tally.update()) == 12
    other = made(tmp_path / "other", "uuuuuu" * 2)
    (other / "evaluations.jsonl").replace(folder / "evaluations.jsonl")
    assert {each.official for each in tally.update().values()} == {"unresolved"}
    (folder / "evaluations.jsonl").write_bytes(b"")
    assert tally.update() == {}
    (folder / "selections.jsonl").unlink()
    assert tally.update() == {}


def test_a_removed_record_is_gone(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", "RR" + "." * 10)
    with open_run(folder, read_manifest(folder)) as run:
        run.evaluations.remove_if(lambda key: key[0] == NAMES[1])
    assert list(VerdictTally(folder).update()) == [NAMES[0]]


@pytest.mark.parametrize(
    "line", [b"{\n", b"[]\n", b'{"v":2,"instance_id":"a"}\n', b'{"v":1,"instance_id":"a","patch_sha256":"b"}\n', b"\n"]
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: bytes) -> None:
    folder = made(tmp_path / "r", "RR" + "." * 10)
    size = (folder / "evaluations.jsonl").stat().st_size
    with (folder / "evaluations.jsonl").open("ab") as file:
        file.write(line)
    with pytest.raises(InputError, match=rf"evaluations.jsonl, byte {size}: not a record of this kind"):
        VerdictTally(folder).update()
