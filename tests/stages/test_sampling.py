"""Drawing answers: what is asked, with which seeds, and what a resumed run asks again."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swerl_eval.core.errors import SamplerError
from swerl_eval.core.types import Completion, Message, Sample, SampleRequest
from swerl_eval.ports import OnTokens, SamplerSettings
from swerl_eval.progress import Progress
from swerl_eval.records.journal import Journal
from swerl_eval.records.run_folder import samples_journal
from swerl_eval.samplers.replay import ReplaySampler
from swerl_eval.scheduling.request_queue import RequestQueue
from swerl_eval.stages.sampling import SEED_SPAN, Prompt, SamplingContext, sample_answers, seed_for

pytestmark = pytest.mark.anyio


class Model:
    """A `ports.Sampler` whose answer is its seed, so that the same draw is known by its text; keeps what was asked."""

    recorded = False

    def __init__(self) -> None:
        self.requests: list[SampleRequest] = []
        self.in_flight = self.most_in_flight = 0

    @classmethod
    def open(cls, settings: SamplerSettings) -> Model:
        return cls()

    async def sample(self, request: SampleRequest, on_tokens: OnTokens, on_answer: Any = None) -> list[Completion]:
        self.requests.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await anyio.lowlevel.checkpoint()
        self.in_flight -= 1
        on_tokens(request.n)
        return [Completion(f"context with {request.seed + k}") for k in range(request.n)]

    def count_tokens(self, text: str) -> int:
        return len(text)

    async def aclose(self) -> None:
        """Nothing is held."""


class Says(Model):
    """Gives these completions, one by one."""

    def __init__(self, *completions: Completion) -> None:
        super().__init__()
        self.completions = completions

    async def sample(self, request: SampleRequest, on_tokens: OnTokens, on_answer: Any = None) -> list[Completion]:
        return [self.completions[index] for index in request.indices]


def opened_journal(folder: Path) -> Journal[Sample]:
    journal = samples_journal(folder)
    journal.open_for_writing()
    return journal


def context(model: Model, folder: Path, in_flight: int = 8) -> SamplingContext:
    return SamplingContext(
        sampler=model,
        journal=opened_journal(folder),
        queue=RequestQueue(in_flight),
        progress=Progress(),
        temperature=0.7,
        top_p=0.9,
        max_tokens=100,
        seed=3,
    )


def prompts(letters: str) -> list[Prompt]:
    """One for each letter; equal letters are identical prompts."""
    return [Prompt((Message("system", "s"), Message("user", letter)), (f"{letter}.py",)) for letter in letters]


async def test_identical_prompts_are_one_request(tmp_path: Path):
    model = Model()
    await sample_answers(context(model, tmp_path), "i", "repair", prompts("abaca"))
    assert sorted(request.indices for request in model.requests) == [(0, 2, 4), (1,), (3,)]
    first = next(request for request in model.requests if request.n == 3)
    assert first == SampleRequest(
        instance_id="i",
        stage="repair",
        messages=(Message("system", "s"), Message("user", "a")),
        indices=(0, 2, 4),
        seed=seed_for(3, "i", "repair"),
        temperature=0.7,
        top_p=0.9,
        max_tokens=100,
        priority=2,
    )


async def test_sample_k_is_the_answer_to_prompt_k(tmp_path: Path):
    seed = seed_for(3, "i", "repair")
    samples = await sample_answers(context(Model(), tmp_path), "i", "repair", prompts("abaca"))
    assert [sample.completion.text for sample in samples] == [f"context with {seed + k}" for k in (0, 3, 1, 4, 2)]
    assert [sample.index for sample in samples] == [0, 1, 2, 3, 4]
    assert [sample.files for sample in samples] == [("a.py",), ("b.py",), ("a.py",), ("c.py",), ("a.py",)]
    assert [sample.seed - seed for sample in samples] == [0, 3, 0, 4, 0]
    assert [sample.prompt_sha256 for sample in samples] == [prompt.sha256 for prompt in prompts("abaca")]


async def test_prompts_differ_by_role_and_by_text():
    texts = [("user", "a"), ("system", "a"), ("user", "b")]
    digests = {Prompt((Message(role, text),)).sha256 for role, text in texts}
    assert len(digests | {Prompt((Message("user", "a"), Message("user", "b"))).sha256}) == 4


async def test_nothing_is_asked_where_nothing_is_wanted(tmp_path: Path):
    model = Model()
    assert await sample_answers(context(model, tmp_path), "i", "repair", []) == []
    assert model.requests == []


async def test_answers_that_are_stored_are_not_asked_for_again(tmp_path: Path):
    before = await sample_answers(context(Model(), tmp_path), "i", "repair", prompts("aab"))
    model = Model()
    assert await sample_answers(context(model, tmp_path), "i", "repair", prompts("aab")) == before
    assert model.requests == []


@pytest.mark.parametrize(
    ("stored", "asked"),
    [((0, 1, 2, 3, 4), []), ((0, 1, 2, 4), [(3,)]), ((1, 3, 4), [(0, 2, 4)]), ((), [(0, 2, 4), (1,), (3,)])],
)
async def test_a_resumed_run_asks_for_whole_groups_with_the_same_seed_and_draws_the_same(
    tmp_path: Path, stored: tuple[int, ...], asked: list[tuple[int, ...]]
):
    (tmp_path / "whole").mkdir()
    model = Model()
    whole = await sample_answers(context(model, tmp_path / "whole"), "i", "repair", prompts("abaca"))
    seeds = {request.indices: request.seed for request in model.requests}

    again = Model()
    resumed = context(again, tmp_path)
    kept = [dataclasses.replace(whole[index], completion=Completion("kept")) for index in stored]
    resumed.journal.append(*kept)
    samples = await sample_answers(resumed, "i", "repair", prompts("abaca"))

    assert sorted(request.indices for request in again.requests) == asked
    assert all(request.seed == seeds[request.indices] for request in again.requests)
    assert [sample.completion.text for sample in samples] == [
        "kept" if index in stored else whole[index].completion.text for index in range(5)
    ]
    # only what was missing is stored: a stored answer is never overwritten
    assert len((tmp_path / "samples.jsonl").read_bytes().splitlines()) == 5
    assert resumed.progress.samples == 5 - len(stored)


async def test_instances_and_stages_have_answers_of_their_own(tmp_path: Path):
    model = Model()
    work = context(model, tmp_path)
    keys = [("i", "localize"), ("i", "repair"), ("j", "repair")]
    texts = [(await sample_answers(work, instance, stage, prompts("a")))[0].completion.text for instance, stage in keys]
    assert len(set(texts)) == 3
    assert len(model.requests) == 3


async def test_lone_surrogates_and_nul_survive_in_a_stored_form(tmp_path: Path):
    model = Says(Completion("a\0b\ud800c\u2028", reasoning="\udfff\0"), Completion("", "error", error="bad \ud83d"))
    samples = await sample_answers(context(model, tmp_path), "i", "repair", prompts("aa"))
    assert [sample.completion for sample in samples] == [
        Completion("a\0b?c\u2028", reasoning="?\0"),
        Completion("", "error", error="bad ?"),
    ]
    read_again = [sample.completion for sample in opened_journal(tmp_path).values()]
    assert read_again == [sample.completion for sample in samples]


async def test_a_recorded_failure_is_an_answer_too_and_is_not_asked_for_again(tmp_path: Path):
    await sample_answers(
        context(Says(Completion("", "error", error="too long")), tmp_path), "i", "repair", prompts("a")
    )
    model = Model()
    samples = await sample_answers(context(model, tmp_path), "i", "repair", prompts("a"))
    assert samples[0].completion == Completion("", "error", error="too long")
    assert model.requests == []


async def test_a_refusal_is_stored_and_asked_for_again_while_answers_stay(tmp_path: Path):
    refused = Completion("", "error", error="refused: no credit is left", refused=True)
    first = context(Says(Completion("kept"), refused), tmp_path)
    samples = await sample_answers(first, "i", "repair", prompts("aa"))
    assert [sample.completion for sample in samples] == [Completion("kept"), refused]
    model = Model()
    seen: list[Sample] = []
    again = await sample_answers(context(model, tmp_path), "i", "repair", prompts("aa"), seen.append)
    seed = seed_for(3, "i", "repair")
    assert [request.indices for request in model.requests] == [(0, 1)]
    assert [sample.completion for sample in again] == [Completion("kept"), Completion(f"context with {seed + 1}")]
    assert seen == again


class Counts(Model):
    """Tells of its one answer before it has counted its tokens."""

    async def sample(self, request: SampleRequest, on_tokens: OnTokens, on_answer: Any = None) -> list[Completion]:
        on_answer(0, Completion("early"))
        await anyio.lowlevel.checkpoint()
        return [Completion("early", prompt_tokens=17, completion_tokens=4)]


async def test_an_answer_is_stored_before_anybody_is_told_and_its_counts_when_they_come(tmp_path: Path):
    work = context(Counts(), tmp_path)
    stored_when_told: list[int | None] = []

    def told(sample: Sample) -> None:
        stored = work.journal.get(("i", "repair", sample.index))
        stored_when_told.append(stored.completion.prompt_tokens if stored else -1)

    samples = await sample_answers(work, "i", "repair", prompts("a"), told)
    assert stored_when_told == [None]
    assert samples[0].completion == Completion("early", prompt_tokens=17, completion_tokens=4)
    assert (work.progress.samples, work.progress.prompt_tokens) == (1, 17)


async def test_no_more_requests_are_in_flight_than_the_limiter_has_places(tmp_path: Path):
    model = Model()
    work = context(model, tmp_path, in_flight=2)
    await sample_answers(work, "i", "repair", prompts("abcdef"))
    assert (model.most_in_flight, len(model.requests)) == (2, 6)
    assert (work.progress.requests, work.progress.samples, work.progress.tokens) == (0, 6, 6)


class Gone(Model):
    """Answers the prompt `a` and is gone for all others."""

    async def sample(self, request: SampleRequest, on_tokens: OnTokens, on_answer: Any = None) -> list[Completion]:
        if request.messages[-1].content != "a":
            await anyio.wait_all_tasks_blocked()
            message = "the server is gone"
            raise SamplerError(message)
        return await super().sample(request, on_tokens)


async def test_what_was_answered_before_the_model_went_is_kept(tmp_path: Path):
    work = context(Gone(), tmp_path)
    with pytest.raises(BaseException) as caught:
        await sample_answers(work, "i", "repair", prompts("aba"))
    assert isinstance(caught.value, SamplerError) or caught.group_contains(SamplerError, match="the server is gone")
    assert [sample.index for sample in work.journal.values()] == [0, 2]
    assert work.progress.requests == 0

    model = Model()
    await sample_answers(dataclasses.replace(work, sampler=model), "i", "repair", prompts("aba"))
    assert [request.indices for request in model.requests] == [(1,)]


async def test_recorded_answers_go_to_the_samples_of_their_numbers(tmp_path: Path):
    answers = tmp_path / "answers.jsonl"
    answers.write_text(
        '{"instance_id": "i", "stage": "repair", "completions": [{"text": "zero"}, {"text": "one"}, {"text": "two"}]}\n'
    )
    work = dataclasses.replace(context(Model(), tmp_path), sampler=ReplaySampler(answers))
    samples = await sample_answers(work, "i", "repair", prompts("abaa"))
    assert [sample.completion.text for sample in samples] == ["zero", "one", "two", ""]
    assert samples[3].completion.error == "not recorded: repair answer 3"


# -- seeds


def test_a_seed_depends_on_the_run_the_instance_and_the_stage():
    seeds = {seed_for(seed, name, stage) for seed in (0, 1) for name in "ab" for stage in ("localize", "repair")}
    assert len(seeds) == 8
    assert seed_for(0, "a", "repair") == seed_for(0, "a", "repair")


@settings(deadline=None)
@given(st.integers(), st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["localize", "repair"]))
def test_every_seed_of_an_instance_is_one_that_every_server_takes(seed: int, instance_id: str, stage: str):
    first = seed_for(seed, instance_id, stage)
    assert 0 <= first <= first + SEED_SPAN <= 2**31


@settings(deadline=None)
@given(letters=st.text("abcd", min_size=1, max_size=20))
def test_no_two_samples_of_an_instance_and_stage_share_a_seed(tmp_path_factory: pytest.TempPathFactory, letters: str):
    model = Model()
    folder = tmp_path_factory.mktemp("seeds")
    anyio.run(sample_answers, context(model, folder), "i", "repair", prompts(letters))
    seeds = Counter(request.seed + k for request in model.requests for k in range(request.n))
    assert max(seeds.values()) == 1
    assert sorted(seeds) == [seed_for(3, "i", "repair") + k for k in range(len(letters))]
    assert sorted(index for request in model.requests for index in request.indices) == list(range(len(letters)))


async def test_a_request_carries_its_priority_to_the_engine(tmp_path: Path):
    model = Model()
    shared = context(model, tmp_path)
    for instance_id, stage in (("a", "repair"), ("b", "repair"), ("a", "reproduce"), ("b", "guide")):
        await sample_answers(shared, instance_id, stage, prompts("a"))
    assert [request.priority for request in model.requests] == [2, 4, 1, 0]
