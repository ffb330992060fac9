from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from swerl_eval.core.types import Completion, Instance, Outcome, ReproductionTest, Sample, TestPlan
from swerl_eval.progress import Progress
from swerl_eval.prompts import load_prompts
from swerl_eval.records.manifest import RunManifest
from swerl_eval.records.run_folder import open_run
from swerl_eval.samplers.replay import ReplaySampler
from swerl_eval.scheduling.request_queue import RequestQueue
from swerl_eval.stages.reproduce import ReproduceSettings, guide_file, normal_form, rank, read_script
from swerl_eval.stages.run_tests import TestTarget
from swerl_eval.stages.sampling import SamplingContext

SCRIPT = "def check():\n    print('Issue reproduced')\n\n\ncheck()\n"


def sample(text: str, finish: str = "stop") -> Sample:
    return Sample("i", "reproduce", 3, Completion(text, finish), (), "0", 0)


@pytest.mark.parametrize(
    "other",
    [
        SCRIPT.replace("check", "test_the_issue"),
        "# why\n" + SCRIPT,
        SCRIPT.replace("check():\n", 'check():\n    """What it does."""\n'),
        SCRIPT.replace("'", '"').replace("\n\n\n", "\n"),
    ],
)
def test_names_of_functions_comments_docstrings_and_layout_do_not_count(other: str) -> None:
    assert normal_form(other) == normal_form(SCRIPT)


def test_what_a_script_does_counts() -> None:
    assert normal_form(SCRIPT.replace("reproduced", "resolved")) != normal_form(SCRIPT)
    assert normal_form(SCRIPT.replace("check()\n", "pass\n")) != normal_form(SCRIPT)


def test_a_script_is_read_from_the_solution_alone() -> None:
    draft = SCRIPT.replace("reproduced", "resolved")
    answer = f"<think>```python\n{draft}```</think><solution>\nso:\n```\nx\n```\n```python\n{SCRIPT}```\n</solution>"
    read = read_script(sample(answer), thinking=True)
    assert read.script == SCRIPT
    assert (read.index, read.outcome, read.rank) == (3, Outcome.NOT_RUN, None)


@pytest.mark.parametrize(
    "answer", ["no block", "```python\ndef broken(:\n```", "```python\n```", f"<think>```python\n{SCRIPT}```"]
)
def test_an_answer_without_a_script_that_parses_has_none(answer: str) -> None:
    read = read_script(sample(answer), thinking=True)
    assert (read.script, read.outcome) == ("", Outcome.UNCLEAR)


def test_a_script_that_was_drafted_in_thinking_that_was_cut_is_none() -> None:
    cut = sample(f"Maybe:\n```python\n{SCRIPT}```\nno, that", "length")
    assert read_script(cut, thinking=True).script == ""
    assert read_script(cut, thinking=False).script == SCRIPT


def seen(index: int, form: str, outcome: Outcome = Outcome.REPRODUCED) -> ReproductionTest:
    return ReproductionTest("i", index, "x", form, outcome)


def test_only_scripts_that_reproduce_the_issue_vote_and_the_top_ones_are_ranked_ties_to_the_earliest() -> None:
    tests = [
        seen(0, "never", Outcome.RESOLVED),
        seen(1, "b"),
        seen(2, "a"),
        seen(3, "c"),
        seen(4, "a"),
        seen(5, "c"),
        seen(6, "d"),
        seen(7, "never", Outcome.TIMED_OUT),
    ]
    ranked = rank(tests, 3)
    # a and c have two votes each, a came first; b and d have one each, b came first
    assert {test.index: test.rank for test in ranked} == {0: None, 1: 2, 2: 0, 3: 1, 4: None, 5: None, 6: None, 7: None}
    assert [test.votes for test in ranked] == [0, 1, 2, 2, 2, 2, 1, 0]


def test_nothing_is_ranked_when_none_is_to_be_kept() -> None:
    assert [test.rank for test in rank([seen(0, "a")], 0)] == [None]


# -- the guide

TREE = {"pkg/a.py": "", "tests/test_a.py": "def test_a(): ...\n", "tests/test_b.py": "x" * 999}


class Files:
    """A `ports.Snapshot` of texts at hand."""

    def paths(self) -> Sequence[str]:
        return sorted(TREE)

    def read(self, path: str) -> str | None:
        return TREE.get(path)


async def guide_of(folder: Path, answer: str, finish: str = "stop", *, thinking: bool = False) -> str | None:
    instance = Instance("i", "o/n", "c" * 40, "The total is wrong.", "image")
    recorded = folder / "answers.jsonl"
    line = {"instance_id": "i", "stage": "guide", "completions": [{"text": answer, "finish_reason": finish}]}
    recorded.write_bytes(orjson.dumps(line))
    with open_run(folder / "run", RunManifest("r", {}, {}, {}, "", {}, {}, "m", True, "")) as run:
        context = SamplingContext(ReplaySampler(recorded), run.samples, RequestQueue(4), Progress(), 1.0, 1.0, 100, 0)
        target = TestTarget(instance, Files(), TestPlan("i", "o/n", "", (), "pytest", ""))
        settings = ReproduceSettings(1, 1, 100, thinking)
        return await guide_file(target, context, load_prompts(""), settings)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answer",
    [
        "```\ntests/test_a.py\n```",
        "The closest one is `tests/test_a.py`.",
        "### /testbed/tests/test_a.py:12\nit tests pkg/a.py",
        '```json\n["tests/test_a.py"]\n```',
        "pkg/a.py is tested in tests/test_a.py::test_a",
        "[THINK]Is it tests/test_b.py?[/THINK]tests/test_a.py",
    ],
)
async def test_the_guide_is_the_test_file_that_the_answer_names(tmp_path: Path, answer: str) -> None:
    assert await guide_of(tmp_path, answer) == "tests/test_a.py"


@pytest.mark.anyio
async def test_there_is_no_guide_without_a_test_file_that_exists_and_fits(tmp_path: Path) -> None:
    for number, answer in enumerate(["", "pkg/a.py", "tests/test_none.py", "tests/test_b.py"]):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert await guide_of(folder, answer) is None


@pytest.mark.anyio
async def test_a_guide_that_was_named_in_thinking_that_was_cut_is_none(tmp_path: Path) -> None:
    assert await guide_of(tmp_path, "Perhaps tests/test_a.py, or", "length", thinking=True) is None
