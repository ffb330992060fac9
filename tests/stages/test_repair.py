"""From files to prompts, from answers to candidates: each kind of rejection has an answer that earns it."""

from __future__ import annotations

import re
import resource
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.diffs import file_diff, normal_form_key
from swerl_eval.core.types import Candidate, Completion, Instance, Localization, Rejection, Sample, SampleRequest
from swerl_eval.ports import OnTokens, SamplerSettings
from swerl_eval.progress import Progress
from swerl_eval.prompts import load_prompts
from swerl_eval.records.manifest import RunManifest
from swerl_eval.records.run_folder import Run, open_run
from swerl_eval.samplers.replay import ReplaySampler
from swerl_eval.scheduling.request_queue import RequestQueue
from swerl_eval.stages.read_candidates import FEW, LIGHT, read_answer, read_answers, read_in_background
from swerl_eval.stages.repair import Issue, RepairSettings, repair
from swerl_eval.stages.sampling import SamplingContext

pytestmark = pytest.mark.anyio

INSTANCE = Instance("o__n-1", "o/n", "c" * 40, "The total is wrong.", "image")
TEXTS = {
    "a.py": "def total(price):\n    return price\n",
    "b.py": "x = 1\n\ny = 2\n",
    "old.py": "print 'two'\n",
    "crlf.py": "x = 1\r\ny = 2\r\n",
    "latin.py": "# \udce9\nx = 1\n",
    "empty.py": "",
    "other.py": "z = 1\n",
    "bom.py": "\ufeffx = 1\ny = 2\n",
    "coded.py": "# coding: latin-1\nn = 'J\udcf6rg'\na = 1\nb = 2\nc = 3\nd = 4\nx = 1\n",
}


class Files:
    """A `ports.Snapshot` of texts at hand."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def paths(self) -> Sequence[str]:
        return sorted(self._texts)

    def read(self, path: str) -> str | None:
        return self._texts.get(path)


def block(path: str, search: str, replace: str) -> str:
    return f"```python\n### {path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n```\n"


FIX = block("a.py", "    return price\n", "    return price * 2\n")
FIXED = "def total(price):\n    return price * 2\n"
FIX_CANDIDATE = Candidate(
    "o__n-1",
    0,
    file_diff("a.py", TEXTS["a.py"], FIXED),
    normal_form_key(TEXTS, {"a.py": FIXED}),
)


def sample(text: str, *, index: int = 0, finish: str = "stop", error: str = "", files: Sequence[str] = ()) -> Sample:
    completion = Completion(text, finish, error=error)
    return Sample("o__n-1", "repair", index, completion, tuple(files or TEXTS), "sha", 0)


def candidate_of(text: str, shown: Mapping[str, str] = TEXTS, **more: Any) -> Candidate:
    return read_answer(sample(text, **more), shown, frozenset({*TEXTS, "unseen.py"}))


# -- one answer


def test_an_edit_that_applies_is_a_candidate_with_its_diff_and_normal_form():
    assert candidate_of(f"<think>hm</think><solution>{FIX}</solution>") == FIX_CANDIDATE


def test_several_files_are_one_diff():
    candidate = candidate_of(FIX + block("b.py", "x = 1\n", "x = 3\n"))
    assert candidate.patch == FIX_CANDIDATE.patch + file_diff("b.py", "x = 1\n\ny = 2\n", "x = 3\n\ny = 2\n")


def test_a_new_file_is_a_candidate():
    candidate = candidate_of(block("pkg/new.py", "", "x = 1\n"))
    assert candidate.patch == file_diff("pkg/new.py", None, "x = 1\n")


def test_a_deletion_is_a_candidate():
    candidate = candidate_of(block("b.py", "y = 2\n", ""))
    assert candidate.patch == file_diff("b.py", TEXTS["b.py"], "x = 1\n\n")


def test_an_empty_file_that_is_filled_is_changed_not_made():
    candidate = candidate_of(block("empty.py", "", "x = 1\n"))
    assert candidate.patch == file_diff("empty.py", "", "x = 1\n")
    assert "new file mode" not in candidate.patch


def test_line_ends_of_the_file_are_kept():
    candidate = candidate_of(block("crlf.py", "y = 2\n", "y = 3\nz = 4\n"))
    assert candidate.patch == file_diff("crlf.py", TEXTS["crlf.py"], "x = 1\r\ny = 3\r\nz = 4\r\n")


def test_a_file_that_did_not_parse_before_need_not_parse_after():
    assert candidate_of(block("old.py", "print 'two'\n", "print 'three'\n")).rejection is None


def test_a_file_of_another_kind_need_not_be_python():
    assert candidate_of(block("notes.txt", "", "no ( code\n")).rejection is None


def test_the_first_line_of_a_file_with_a_byte_order_mark_can_be_edited_and_the_mark_stays():
    candidate = candidate_of(block("bom.py", "x = 1\n", "x = 3\n"))
    assert candidate.patch == file_diff("bom.py", TEXTS["bom.py"], "\ufeffx = 3\ny = 2\n")
    other = candidate_of(block("bom.py", "x = 1\n", "x = 3  # why\n"))
    assert other.normal_form == candidate.normal_form


def test_a_file_in_another_coding_is_edited_where_the_diff_has_none_of_its_bytes():
    candidate = candidate_of(block("coded.py", "x = 1\n", "x = 2\n"))
    assert candidate.patch == file_diff("coded.py", TEXTS["coded.py"], TEXTS["coded.py"].replace("x = 1", "x = 2"))
    beside = candidate_of(block("coded.py", "n = 'J\u00f6rg'\na = 1\n", "n = 'J\u00f6rg'\na = 2\n"))
    assert beside.rejection is Rejection.NOT_TEXT


def test_a_heading_in_the_searched_text_does_not_split_the_block():
    shown = {"doc.rst": "Title\n=======\n\nOld text.\n"}
    text = block("doc.rst", "Title\n=======\n\nOld text.\n", "Title\n=======\n\nNew text.\n")
    candidate = read_answer(sample(text, files=["doc.rst"]), shown)
    assert candidate.patch == file_diff("doc.rst", shown["doc.rst"], "Title\n=======\n\nNew text.\n")


REJECTED = {
    "sample_failed": ("", "stop", "prompt too long", Rejection.SAMPLE_FAILED, "prompt too long"),
    "no edit": ("I cannot.", "stop", "", Rejection.NO_EDIT, "the answer holds no edit"),
    "no edit, cut": (
        "<think>so",
        "length",
        "",
        Rejection.NO_EDIT,
        "the answer ends within its thinking (the answer was cut at max_tokens)",
    ),
    "no end of the thinking": (
        f"<think>Maybe\n{FIX}\nno.",
        "stop",
        "",
        Rejection.NO_EDIT,
        "the answer ends within its thinking",
    ),
    "half a block": (
        FIX[: FIX.index(">>>>>>>")],
        "length",
        "",
        Rejection.BAD_FORMAT,
        "the block of a.py has no closing line >>>>>>> REPLACE (the answer was cut at max_tokens)",
    ),
    "another file": (
        block("none.py", "x\n", "y\n"),
        "stop",
        "",
        Rejection.UNKNOWN_PATH,
        "edit 1 (none.py): this file was not shown to the model",
    ),
    "outside": (
        block("../x.py", "", "y\n"),
        "stop",
        "",
        Rejection.UNKNOWN_PATH,
        "edit 1 (../x.py): not a path within the repository",
    ),
    "path with NUL": (
        block("x\0.py", "", "y = 1\n"),
        "stop",
        "",
        Rejection.UNKNOWN_PATH,
        "edit 1 (x\0.py): not a path within the repository",
    ),
    "made anew": (
        block("unseen.py", "", "y = 1\n"),
        "stop",
        "",
        Rejection.UNKNOWN_PATH,
        "unseen.py exists and was not shown to the model",
    ),
    "no match": (
        FIX + block("b.py", "x = 7\n", "y\n"),
        "stop",
        "",
        Rejection.NO_MATCH,
        "edit 2 (b.py): the search text is not in the file",
    ),
    "same": (
        block("b.py", "x = 1\n", "x = 1\n"),
        "stop",
        "",
        Rejection.NO_CHANGE,
        "edit 1 (b.py): search and replacement are the same",
    ),
    "to and fro": (
        block("b.py", "x = 1\n", "x = 3\n") + block("b.py", "x = 3\n", "x = 1\n"),
        "stop",
        "",
        Rejection.NO_CHANGE,
        "the edits cancel each other out",
    ),
    "blank lines": (block("b.py", "x = 1\n\n", "x = 1 \n"), "stop", "", Rejection.BLANK_LINES_ONLY, "in b.py"),
    "syntax": (
        block("b.py", "x = 1\n", "x = (\n") + block("new.py", "", "def\n") + FIX,
        "stop",
        "",
        Rejection.SYNTAX_ERROR,
        "b.py, new.py does not parse after the edit",
    ),
    "NUL": (
        block("notes.txt", "", "a\0b\n"),
        "stop",
        "",
        Rejection.NOT_TEXT,
        "the diff would hold bytes that are not UTF-8 text",
    ),
    "NUL where libgit2 no longer looks for it": (
        block("notes.txt", "", "a" * 9000 + "\n\0\n"),
        "stop",
        "",
        Rejection.NOT_TEXT,
        "the diff would hold bytes that are not UTF-8 text",
    ),
    "many times as long": (
        "".join(block("b.py", "x = 1\n", f"x = 1\nz = {number}\nx = 1\n") for number in range(30)),
        "stop",
        "",
        Rejection.TOO_LONG,
        "edit 19 (b.py): makes the file longer than 4194304 characters",
    ),
    "a character that the file's coding lacks": (
        block("coded.py", "x = 1\n", "x = '\u2192'\n"),
        "stop",
        "",
        Rejection.NOT_TEXT,
        "coded.py is in latin-1, which has no character '\\u2192'",
    ),
    "half a surrogate pair": (
        block("b.py", "x = 1\n", "x = '\ud800'\n"),
        "stop",
        "",
        Rejection.NOT_TEXT,
        "b.py is in utf-8, which has no character '\\ud800'",
    ),
    "a broken edit of a file with a byte order mark": (
        block("bom.py", "x = 1\n", "x = (\n"),
        "stop",
        "",
        Rejection.SYNTAX_ERROR,
        "bom.py does not parse after the edit",
    ),
    "a broken edit of a file in another coding": (
        block("coded.py", "n = 'J\u00f6rg'\n", "n = (\n"),
        "stop",
        "",
        Rejection.SYNTAX_ERROR,
        "coded.py does not parse after the edit",
    ),
    "bytes that are not UTF-8 beside the edit": (
        block("latin.py", "x = 1\n", "x = 2\n"),
        "stop",
        "",
        Rejection.NOT_TEXT,
        "the diff would hold bytes that are not UTF-8 text",
    ),
}


@pytest.mark.parametrize(("text", "finish", "error", "rejection", "detail"), REJECTED.values(), ids=REJECTED.keys())
def test_an_answer_without_a_candidate_says_why(text: str, finish: str, error: str, rejection: Rejection, detail: str):
    found = candidate_of(text, finish=finish, error=error)
    assert found == Candidate("o__n-1", 0, rejection=rejection, detail=detail)


def test_every_kind_of_rejection_is_earned_by_some_answer():
    assert {case[3] for case in REJECTED.values()} == set(Rejection)


PIECES = st.sampled_from(
    [
        FIX,
        block("b.py", "x = 1\n", "x = 2\n"),
        block("b.py", "x = 2\n", "x = 1\n"),
        block("new.py", "", "x = 1\n"),
        block("crlf.py", "y = 2\n", ""),
        block("latin.py", "x = 1\n", "x = '\0'\n"),
        "```\n",
        ">>>>>>> REPLACE\n",
        "### a.py\n",
        "</think>",
        "\0",
        "\x85",
    ]
)


@settings(deadline=None)
@given(st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.lists(PIECES).map("".join)))
def test_any_answer_gives_a_patch_and_a_form_or_a_reason(text: str):
    candidate = candidate_of(text)
    if candidate.rejection is None:
        assert candidate.patch.startswith("diff --git ")
        assert candidate.patch.encode()
        assert len(candidate.normal_form) == 64
    else:
        assert (candidate.patch, candidate.normal_form) == ("", "")
        assert candidate.detail


# -- several answers


def test_each_sample_has_a_candidate_of_its_own_number():
    other = block("b.py", "x = 1\n", "x = 5\n")
    found = read_answers([sample(FIX, index=3), sample(other, index=4), sample(FIX, index=5)], TEXTS)
    assert [candidate.index for candidate in found] == [3, 4, 5]
    assert found[0].patch == found[2].patch == FIX_CANDIDATE.patch != found[1].patch
    assert found[0].normal_form == found[2].normal_form


def test_the_same_text_is_read_anew_where_it_was_cut_or_came_without_its_thinking():
    draft = Completion(f"Maybe\n{FIX}\nno")
    answers = [draft, replace(draft, finish_reason="length"), replace(draft, finish_reason="length", reasoning="hm")]
    samples = [Sample("o__n-1", "repair", n, answer, tuple(TEXTS), "sha", 0) for n, answer in enumerate(answers)]
    found = read_answers(samples, TEXTS, thinking=True)
    assert [candidate.rejection for candidate in found] == [None, Rejection.NO_EDIT, None]
    assert [candidate.rejection for candidate in read_answers(samples, TEXTS, thinking=False)] == [None, None, None]


def test_the_same_answer_to_other_files_is_read_anew():
    found = read_answers([sample(FIX, files=["a.py"]), sample(FIX, index=1, files=["b.py"])], TEXTS)
    assert [candidate.rejection for candidate in found] == [None, Rejection.UNKNOWN_PATH]


def test_an_empty_answer_after_a_failed_one_is_told_apart_from_it():
    failed = [sample("", error="too long"), sample("", index=1), sample("", index=2, error="gone")]
    assert [(c.rejection, c.detail) for c in read_answers(failed, TEXTS)] == [
        (Rejection.SAMPLE_FAILED, "too long"),
        (Rejection.NO_EDIT, "the answer holds no edit"),
        (Rejection.SAMPLE_FAILED, "gone"),
    ]


# -- the stage


class Listener:
    """A `ports.Sampler` that keeps what it was asked; one token is one letter."""

    recorded = True

    def __init__(self, answer: str = FIX, finish_reason: str = "stop") -> None:
        self.answer = answer
        self.finish_reason = finish_reason
        self.requests: list[SampleRequest] = []

    @classmethod
    def open(cls, settings: SamplerSettings) -> Listener:
        return cls()

    async def sample(self, request: SampleRequest, on_tokens: OnTokens, on_answer: object = None) -> list[Completion]:
        self.requests.append(request)
        return [Completion(self.answer, self.finish_reason) for _ in request.indices]

    def count_tokens(self, text: str) -> int:
        return len(text)

    async def aclose(self) -> None:
        """Nothing is held."""

    def shown(self) -> list[tuple[str, ...]]:
        """The files of the prompts, in the order of the samples."""
        numbered = {index: request.messages[-1].content for request in self.requests for index in request.indices}
        found = [re.findall(r"<files>\n(.*)\n</files>", numbered[index], re.S)[0] for index in sorted(numbered)]
        return [tuple(re.findall(r"^### (.*)$", files, re.M)) for files in found]


def open_folder(folder: Path) -> Run:
    return open_run(folder, RunManifest("r", {}, {}, {}, "", {}, {}, "m", True, ""))


async def repaired(
    folder: Path,
    sampler: Listener | ReplaySampler,
    lists: Sequence[Sequence[str]],
    samples: int = 1,
    budget: int = 10_000,
    seed: int = 0,
    thinking: bool = False,
) -> tuple[list[Candidate], list[Sample]]:
    localization = Localization("o__n-1", tuple(map(tuple, lists)), "model")
    with open_folder(folder) as run:
        context = SamplingContext(sampler, run.samples, RequestQueue(4), Progress(), 1.0, 1.0, 100, seed)
        how = RepairSettings(samples, budget, thinking=thinking)
        candidates: list[Candidate] = []
        issue = Issue(INSTANCE, Files(TEXTS), localization)
        await repair(issue, context, load_prompts(""), how, candidates.extend)
        return sorted(candidates, key=lambda each: each.index), list(run.samples.values())


async def test_the_prompt_holds_the_issue_and_the_whole_files_under_their_paths(tmp_path: Path):
    listener = Listener()
    candidates, stored = await repaired(tmp_path, listener, [["a.py", "b.py"]])
    question = listener.requests[0].messages[-1].content
    assert "<issue>\nThe total is wrong.\n</issue>" in question
    files = "### a.py\ndef total(price):\n    return price\n\n\n### b.py\nx = 1\n\ny = 2\n"
    assert f"<files>\n{files}\n</files>" in question
    assert candidates == [FIX_CANDIDATE]
    assert [sample.files for sample in stored] == [("a.py", "b.py")]


async def test_files_are_shown_with_plain_line_ends_and_what_is_not_utf_8_replaced(tmp_path: Path):
    listener = Listener()
    await repaired(tmp_path, listener, [["crlf.py", "latin.py"]])
    question = listener.requests[0].messages[-1].content
    assert "### crlf.py\nx = 1\ny = 2\n\n\n### latin.py\n# ?\nx = 1\n" in question


async def test_files_are_shown_by_their_declared_coding_and_without_a_byte_order_mark(tmp_path: Path):
    listener = Listener()
    await repaired(tmp_path, listener, [["bom.py", "coded.py"]])
    question = listener.requests[0].messages[-1].content
    assert "### bom.py\nx = 1\ny = 2\n\n\n### coded.py\n# coding: latin-1\nn = 'J\u00f6rg'\n" in question


async def test_one_sample_sees_the_files_in_the_order_of_the_list(tmp_path: Path):
    listener = Listener()
    await repaired(tmp_path, listener, [["other.py", "b.py", "a.py"]])
    assert listener.shown() == [("other.py", "b.py", "a.py")]


async def test_several_samples_see_the_files_shuffled_by_the_seed(tmp_path: Path):
    files = ["a.py", "b.py", "other.py", "old.py"]
    orders = []
    for folder, seed in (("1", 0), ("2", 0), ("3", 1)):
        listener = Listener()
        await repaired(tmp_path / folder, listener, [files], samples=8, seed=seed)
        orders.append(listener.shown())
    assert orders[0] == orders[1] != orders[2]
    assert len(set(orders[0])) > 3
    assert {tuple(sorted(order)) for order in orders[0]} == {tuple(sorted(files))}


async def test_samples_cycle_over_the_lists(tmp_path: Path):
    listener = Listener()
    await repaired(tmp_path, listener, [["a.py"], ["b.py"], ["other.py"]], samples=7)
    assert listener.shown() == [("a.py",), ("b.py",), ("other.py",), ("a.py",), ("b.py",), ("other.py",), ("a.py",)]
    assert sorted(request.indices for request in listener.requests) == [(0, 3, 6), (1, 4), (2, 5)]


async def test_a_file_that_would_overflow_the_budget_is_not_shown(tmp_path: Path):
    listener = Listener()
    budget = len(TEXTS["a.py"]) + len(TEXTS["other.py"])
    _, stored = await repaired(tmp_path, listener, [["a.py", "b.py", "other.py"]], budget=budget)
    assert listener.shown() == [("a.py", "other.py")]
    assert [sample.files for sample in stored] == [("a.py", "other.py")]


async def test_the_first_file_is_shown_however_long_it_is(tmp_path: Path):
    listener = Listener()
    await repaired(tmp_path, listener, [["a.py", "other.py"]], budget=1)
    assert listener.shown() == [("a.py",)]


async def test_an_edit_of_a_file_that_the_budget_left_out_is_rejected(tmp_path: Path):
    candidates, _ = await repaired(tmp_path, Listener(FIX), [["b.py", "a.py"]], budget=1)
    assert [candidate.rejection for candidate in candidates] == [Rejection.UNKNOWN_PATH]


async def test_a_listed_file_that_does_not_exist_is_passed_over(tmp_path: Path):
    listener = Listener(block("new.py", "", "x = 1\n"))
    candidates, _ = await repaired(tmp_path, listener, [["new.py", "a.py"], ["a.py"], ["gone.py"]], samples=2)
    assert listener.shown() == [("a.py",), ("a.py",)]
    assert [candidate.patch for candidate in candidates] == [file_diff("new.py", None, "x = 1\n")] * 2


@pytest.mark.parametrize("lists", [[], [[]], [["gone.py"]]])
async def test_without_a_file_there_is_nothing_to_ask(tmp_path: Path, lists: list[list[str]]):
    listener = Listener()
    assert await repaired(tmp_path, listener, lists, samples=3) == ([], [])
    assert listener.requests == []


async def test_many_answers_are_read_in_another_process_to_the_same_end(tmp_path: Path):
    texts = [FIX, "nothing", block("b.py", "x = 1\n", "x = (\n"), f"\0\n{FIX}", ""]
    recorded = tmp_path / "answers.jsonl"
    count = FEW + 4
    completions = [{"text": texts[number % len(texts)]} for number in range(count - 1)]
    line = {"instance_id": "o__n-1", "stage": "repair", "completions": completions}
    recorded.write_bytes(orjson.dumps(line))
    candidates, stored = await repaired(tmp_path / "run", ReplaySampler(recorded), [["a.py", "b.py"]], samples=count)
    assert candidates == read_answers(sorted(stored, key=lambda each: each.index), TEXTS)
    assert [candidate.index for candidate in candidates] == list(range(count))
    kinds = [None, Rejection.NO_EDIT, Rejection.SYNTAX_ERROR, None, Rejection.NO_EDIT]
    assert [candidate.rejection for candidate in candidates] == [
        *[kinds[number % len(kinds)] for number in range(count - 1)],
        Rejection.SAMPLE_FAILED,
    ]


LONG_LINE = "    y = g(x, 1) + [a for a in b]\n"
FULL = "def f(x):\n" + LONG_LINE * (LIGHT * 2 // 3 // len(LONG_LINE))


def growing(count: int) -> str:
    """Blocks that double a line of `loop.py` each."""
    return "".join(
        block("loop.py", "    return x + 1\n", f"    return x + 1\n    y = {number}\n    return x + 1\n")
        for number in range(count)
    )


LOOPED = {"loop.py": "def f(x):\n    return x + 1\n"}


def test_a_loop_of_equal_blocks_is_one_edit():
    text = block("loop.py", "    return x + 1\n", "    return x + 1\n    return x + 1\n") * 23
    candidate = read_answer(sample(text, files=["loop.py"]), LOOPED)
    assert candidate.patch == file_diff("loop.py", LOOPED["loop.py"], LOOPED["loop.py"] + "    return x + 1\n")


async def test_blocks_that_multiply_a_file_are_rejected_by_the_stage():
    found = await read_in_background([sample(growing(40), files=["loop.py"])], LOOPED, frozenset())
    assert [candidate.rejection for candidate in found] == [Rejection.TOO_LONG]
    assert found[0].detail.endswith("(loop.py): makes the file longer than 4194304 characters")


async def test_an_answer_that_takes_long_is_read_in_another_process_to_the_same_end():
    texts = {**LOOPED, "long.py": FULL}
    light, heavy = sample(FIX, files=["long.py"]), sample(growing(14), index=1, files=["loop.py"])
    found = await read_in_background([light, heavy], texts, frozenset())
    assert found == read_answers([light, heavy], texts)
    assert len(found[1].patch) > LIGHT


@pytest.mark.parametrize(
    ("texts", "answers"),
    [
        ({"long.py": FULL}, [block("long.py", "def f(x):\n", f"def f{n}(x):\n") for n in range(FEW)]),
        (LOOPED, [growing(17)]),
    ],
    ids=["many in a thread", "one in a process"],
)
def test_answers_that_take_long_do_not_hold_up_a_cancellation(texts: Mapping[str, str], answers: list[str]):
    samples = [sample(text, index=index, files=list(texts)) for index, text in enumerate(answers)]
    before = set(threading.enumerate())
    began = processor_seconds()

    async def cancelled() -> None:
        with anyio.move_on_after(0.5) as scope:
            await read_in_background(samples, texts, frozenset())
        assert scope.cancelled_caught

    anyio.run(cancelled)
    for thread in set(threading.enumerate()) - before:
        thread.join(240)  # as the program would
        assert not thread.is_alive()
    assert processor_seconds() - began < 4  # 0.8; all answers take 7 to 10


def processor_seconds() -> float:
    """Of this process and of those that it started and that have ended: other work on the machine is not in it."""
    used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


async def test_a_resumed_run_reads_the_stored_answers(tmp_path: Path):
    before, _ = await repaired(tmp_path, Listener(), [["a.py", "b.py"]], samples=3)
    listener = Listener("another answer")
    after, _ = await repaired(tmp_path, listener, [["a.py", "b.py"]], samples=3)
    assert after == before
    assert listener.requests == []


@pytest.mark.parametrize("samples", [1, FEW + 9])
@pytest.mark.parametrize("thinking", [True, False])
async def test_a_cut_answer_without_an_end_of_thinking_is_rejected_where_thinking_was_asked_for(
    tmp_path: Path, thinking: bool, samples: int
):
    sampler = Listener(f"Maybe\n{FIX}\nno, that", "length")
    candidates, _ = await repaired(tmp_path, sampler, [["a.py"]], samples, thinking=thinking)
    assert {candidate.rejection for candidate in candidates} == {Rejection.NO_EDIT if thinking else None}
