"""Which files are asked for, and what the answers name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from swerl_eval.core.types import Completion, Instance, Localization, SampleRequest
from swerl_eval.ports import OnTokens, SamplerSettings
from swerl_eval.progress import Progress
from swerl_eval.prompts import load_prompts
from swerl_eval.records.manifest import RunManifest
from swerl_eval.records.run_folder import Run, open_run
from swerl_eval.samplers.replay import ReplaySampler
from swerl_eval.scheduling.request_queue import RequestQueue
from swerl_eval.stages.localize import LocalizeSettings, localize
from swerl_eval.stages.sampling import SamplingContext

pytestmark = pytest.mark.anyio

INSTANCE = Instance("o__n-1", "o/n", "c" * 40, "The total is wrong.", "image")
FILES = [f"pkg/{name}.py" for name in "abcdefgh"]
GREEDY = LocalizeSettings(samples=1, max_files=5, thinking=False)


class Files:
    """A `ports.Snapshot` of texts at hand."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = sorted(paths)

    def paths(self) -> Sequence[str]:
        return self._paths

    def read(self, path: str) -> str | None:
        return "" if path in self._paths else None


SNAPSHOT = Files([*FILES, "tests/test_a.py", "README.md"])


class Listener:
    """A `ports.Sampler` that keeps what it was asked and always names the same file."""

    recorded = True

    def __init__(self) -> None:
        self.requests: list[SampleRequest] = []

    @classmethod
    def open(cls, settings: SamplerSettings) -> Listener:
        return cls()

    async def sample(self, request: SampleRequest, on_tokens: OnTokens, on_answer: object = None) -> list[Completion]:
        self.requests.append(request)
        return [Completion("```\npkg/a.py\n```") for _ in request.indices]

    def count_tokens(self, text: str) -> int:
        return len(text)

    async def aclose(self) -> None:
        """Nothing is held."""

    def questions(self) -> list[str]:
        """The prompts, in the order of the samples."""
        numbered = {index: request.messages[-1].content for request in self.requests for index in request.indices}
        return [numbered[index] for index in sorted(numbered)]


def open_folder(folder: Path) -> Run:
    return open_run(folder, RunManifest("r", {}, {}, {}, "", {}, {}, "m", True, ""))


def context(run: Run, sampler: Listener | ReplaySampler, seed: int = 0) -> SamplingContext:
    return SamplingContext(sampler, run.samples, RequestQueue(4), Progress(), 1.0, 1.0, 100, seed)


async def answered(folder: Path, answers: Sequence[str | dict[str, str]], max_files: int = 5) -> Localization:
    """What comes of these recorded answers."""
    recorded = folder / "answers.jsonl"
    completions = [{"text": answer} if isinstance(answer, str) else answer for answer in answers]
    line = {"instance_id": INSTANCE.instance_id, "stage": "localize", "completions": completions}
    recorded.write_bytes(orjson.dumps(line))
    with open_folder(folder / "run") as run:
        settings = LocalizeSettings(len(answers), max_files, thinking=True)
        return await localize(INSTANCE, SNAPSHOT, context(run, ReplaySampler(recorded)), load_prompts(""), settings)


async def asked(folder: Path, settings: LocalizeSettings, snapshot: Files = SNAPSHOT, seed: int = 0) -> Listener:
    listener = Listener()
    with open_folder(folder) as run:
        await localize(INSTANCE, snapshot, context(run, listener, seed), load_prompts(""), settings)
    return listener


def tree_of(question: str) -> str:
    return str(re.findall(r"<tree>\n(.*)\n</tree>", question, re.S)[0])


def limit_of(question: str) -> int:
    return int(re.findall(r"at most (\d+) ", question)[0])


# -- what is asked


async def test_one_sample_is_asked_with_the_sorted_tree_of_python_sources_and_the_whole_limit(tmp_path: Path):
    listener = await asked(tmp_path, GREEDY)
    (question,) = listener.questions()
    names = "\n".join(f"    {name}.py" for name in "abcdefgh")
    assert tree_of(question) == f"pkg/\n{names}"
    assert limit_of(question) == 5
    assert "<issue>\nThe total is wrong.\n</issue>" in question
    assert [message.role for message in listener.requests[0].messages] == ["user"]


async def test_a_thinking_model_is_told_its_form_in_a_system_message(tmp_path: Path):
    listener = await asked(tmp_path, LocalizeSettings(1, 5, thinking=True))
    system, user = listener.requests[0].messages
    assert (system.role, user.role) == ("system", "user")
    assert "<think>" in system.content
    assert "<solution>" in system.content


async def test_several_samples_vary_the_tree_its_indent_and_the_limit(tmp_path: Path):
    questions = (await asked(tmp_path, LocalizeSettings(24, 5, thinking=False))).questions()
    trees = [tree_of(question) for question in questions]
    assert len(set(trees)) == 24
    assert {limit_of(question) for question in questions} == {2, 3, 4, 5}
    indents = {len(line) - len(line.lstrip()) for tree in trees for line in tree.splitlines()}
    assert indents == {0, 2, 4}
    assert {tuple(sorted(line.strip() for line in tree.splitlines())) for tree in trees} == {
        ("a.py", "b.py", "c.py", "d.py", "e.py", "f.py", "g.py", "h.py", "pkg/")
    }


async def test_the_variation_follows_from_the_seed_alone(tmp_path: Path):
    several = LocalizeSettings(4, 5, thinking=False)
    first = (await asked(tmp_path / "1", several)).questions()
    assert (await asked(tmp_path / "2", several)).questions() == first
    assert (await asked(tmp_path / "3", several, seed=1)).questions() != first


async def test_more_samples_do_not_change_what_the_first_ones_are_asked(tmp_path: Path):
    few = (await asked(tmp_path / "few", LocalizeSettings(2, 5, thinking=False))).questions()
    many = (await asked(tmp_path / "many", LocalizeSettings(6, 5, thinking=False))).questions()
    assert many[:2] == few


async def test_with_a_limit_of_one_every_sample_is_asked_for_one(tmp_path: Path):
    questions = (await asked(tmp_path, LocalizeSettings(6, 1, thinking=False))).questions()
    assert {limit_of(question) for question in questions} == {1}


async def test_greedy_prompts_are_one_request(tmp_path: Path):
    listener = await asked(tmp_path, LocalizeSettings(3, 1, thinking=False), Files(["a.py"]))
    assert [request.indices for request in listener.requests] == [(0, 1, 2)]


async def test_a_name_that_is_not_utf_8_can_be_sent(tmp_path: Path):
    listener = await asked(tmp_path, GREEDY, Files(["a.py", "b\udcff.py"]))
    assert tree_of(listener.questions()[0]) == "a.py\nb?.py"


async def test_an_issue_that_looks_like_a_template_is_sent_as_it_is(tmp_path: Path):
    listener = Listener()
    odd = Instance("o__n-1", "o/n", "c" * 40, "{{ tree }} {% raw %} {limit} %s", "image")
    with open_folder(tmp_path) as run:
        await localize(odd, SNAPSHOT, context(run, listener), load_prompts(""), GREEDY)
    assert "<issue>\n{{ tree }} {% raw %} {limit} %s\n</issue>" in listener.questions()[0]


# -- what is read


async def test_the_unique_lists_are_kept_in_the_order_answered(tmp_path: Path):
    answers = ["```\npkg/b.py\npkg/a.py\n```", "```\npkg/c.py\n```", "```\n./pkg/b.py\n`pkg/a.py`\n```"]
    found = await answered(tmp_path, answers)
    assert found == Localization("o__n-1", (("pkg/b.py", "pkg/a.py"), ("pkg/c.py",)), "model")


async def test_the_same_files_in_another_order_are_another_list(tmp_path: Path):
    found = await answered(tmp_path, ["```\npkg/b.py\npkg/a.py\n```", "```\npkg/a.py\npkg/b.py\n```"])
    assert found.file_lists == (("pkg/b.py", "pkg/a.py"), ("pkg/a.py", "pkg/b.py"))


async def test_files_named_in_the_thinking_do_not_count(tmp_path: Path):
    answer = "<think>\n```\npkg/a.py\n```\n</think>\n<solution>\n```\npkg/b.py\n```\n</solution>"
    assert (await answered(tmp_path, [answer])).file_lists == (("pkg/b.py",),)


async def test_files_named_in_thinking_that_was_cut_do_not_count(tmp_path: Path):
    cut = {"text": "Perhaps:\n```\npkg/a.py\n```\nor", "finish_reason": "length"}
    apart = {"text": "```\npkg/b.py\n```\nor", "finish_reason": "length", "reasoning": "Perhaps pkg/a.py"}
    assert await answered(tmp_path, [cut, apart]) == Localization("o__n-1", (("pkg/b.py",),), "model")


async def test_lists_in_other_layouts_are_the_same_list(tmp_path: Path):
    answers = [
        "```\npkg/b.py\npkg/a.py\n```",
        "### pkg/b.py\nwhy\n### pkg/a.py\nwhy",
        '["/testbed/pkg/b.py:12", "pkg/a.py"]',
        "It is in `pkg/b.py` and perhaps in `pkg/a.py`.",
    ]
    assert await answered(tmp_path, answers) == Localization("o__n-1", (("pkg/b.py", "pkg/a.py"),), "model")


async def test_no_more_files_are_taken_than_may_be(tmp_path: Path):
    found = await answered(tmp_path, ["```\npkg/c.py\npkg/b.py\npkg/a.py\n```"], max_files=2)
    assert found.file_lists == (("pkg/c.py", "pkg/b.py"),)


async def test_what_does_not_exist_is_recorded_once(tmp_path: Path):
    answers = ["```\npkg/x.py\npkg/a.py\n```", "```\npkg/x.py\npkg/y.py\n```"]
    found = await answered(tmp_path, answers)
    assert found == Localization("o__n-1", (("pkg/a.py",),), "model", ("pkg/x.py", "pkg/y.py"))


async def test_answers_without_a_file_give_no_list(tmp_path: Path):
    found = await answered(tmp_path, ["", "<think>cut off", "I do not know."])
    assert found == Localization("o__n-1", (), "model", ("I do not know.",))


async def test_odd_letters_in_an_answer_are_no_harm(tmp_path: Path):
    found = await answered(tmp_path, ["```\n\0\npkg/a.py\u2028pkg/b.py\n```"])
    assert found.file_lists == (("pkg/a.py", "pkg/b.py"),)


async def test_a_resumed_run_reads_the_stored_answers(tmp_path: Path):
    settings = LocalizeSettings(3, 5, thinking=False)
    assert len((await asked(tmp_path, settings)).requests) == 3
    assert (await asked(tmp_path, settings)).requests == []
