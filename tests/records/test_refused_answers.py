"""What a resume takes back so that refused prompts are asked again, and what stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from swerl_eval.compose import open_sampler, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.types import (
    Candidate,
    Completion,
    Evidence,
    Localization,
    Outcome,
    RegressionTests,
    Rejection,
    ReproductionTest,
    Sample,
    SampleRequest,
    Selection,
)
from swerl_eval.ports import OnAnswer, OnTokens, Sampler, ignore
from swerl_eval.records.refused_answers import remove_refused
from swerl_eval.records.run_folder import Run, open_run
from swerl_eval.reports.write_reports import write_reports
from swerl_eval.runner import Runner
from swerl_eval.sandboxes.scripted import ScriptedSandbox
from tests.records.test_run_folder import MANIFEST
from tests.test_pipeline import EXPECTED_CHOICE, execute, passing
from tests.wrapped_sampler import WrappedSampler

KINDS = ("localizations", "candidates", "reproductions", "regressions", "evidence", "selections")
REFUSED = Completion("", "error", error="refused: the prompt is too long", refused=True)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Two finished instances, `a` and `b`, with two answers of each stage."""
    with open_run(tmp_path / "r", MANIFEST) as opened:
        for name in "ab":
            for stage in ("localize", "repair", "guide", "reproduce", "regress"):
                opened.samples.append(*(Sample(name, stage, k, Completion("x"), (), "0", 1) for k in range(2)))
            opened.localizations.append(Localization(name, (("f.py",),), "model"))
            opened.candidates.append(*(Candidate(name, k, "diff", f"form {k}") for k in range(2)))
            opened.reproductions.append(*(ReproductionTest(name, k, "s", "n", Outcome.REPRODUCED) for k in range(2)))
            opened.regressions.append(RegressionTests(name, ("t.py",), ("t.py::x",)))
            opened.evidence.append(*(Evidence(name, f"form {k}") for k in range(2)))
            opened.selections.append(Selection(name, 0, "diff", "majority"))
        yield opened


def refuse(run: Run, stage: str, *indices: int) -> None:
    run.samples.append(*(Sample("a", stage, index, REFUSED, (), "0", 1) for index in indices))


def left(run: Run, name: str) -> dict[str, int]:
    """How many records of each kind an instance has; those of which all are there are left out."""
    whole = {"localizations": 1, "regressions": 1, "selections": 1}
    found = {kind: sum(name in (key, key[0]) for key in list(getattr(run, kind).keys())) for kind in KINDS}
    return {kind: count for kind, count in found.items() if count != whole.get(kind, 2)}


@pytest.mark.parametrize(
    ("stage", "indices", "expected"),
    [
        ("repair", (1,), {"candidates": 1, "selections": 0}),
        ("reproduce", (0, 1), {"reproductions": 0, "evidence": 0, "selections": 0}),
        ("regress", (0,), {"regressions": 0, "evidence": 0, "selections": 0}),
        # patches were drawn from these files, and scripts from this guide: they stand
        ("localize", (0,), {}),
        ("guide", (0,), {}),
    ],
)
def test_what_rests_on_a_refusal_is_taken_back_and_nothing_else(
    run: Run, stage: str, indices: tuple[int, ...], expected: dict[str, int]
) -> None:
    refuse(run, stage, *indices)
    assert remove_refused(run) == (len(indices) if expected else 0)
    assert left(run, "a") == expected
    assert left(run, "b") == {}
    assert left(Run(run.folder), "a") == expected  # it is stored
    assert len(run.samples) == 20


def test_files_from_which_no_patch_was_drawn_are_asked_for_again(run: Run) -> None:
    refuse(run, "localize", 0, 1)
    refuse(run, "repair", 0, 1)
    assert remove_refused(run) == 4
    assert left(run, "a") == {"localizations": 0, "candidates": 0, "selections": 0}


def test_a_guide_from_which_no_script_was_written_is_asked_for_again(run: Run) -> None:
    refuse(run, "guide", 0)
    refuse(run, "reproduce", 0, 1)
    assert remove_refused(run) == 3
    assert left(run, "a") == {"reproductions": 0, "regressions": 0, "evidence": 0, "selections": 0}


def test_nothing_is_taken_back_where_nothing_was_refused(run: Run) -> None:
    before = {path.name: path.read_bytes() for path in run.folder.glob("*.jsonl")}
    assert remove_refused(run) == 0
    assert {path.name: path.read_bytes() for path in run.folder.glob("*.jsonl")} == before


class Refusing(WrappedSampler):
    """The recorded answers; refuses the requests of one stage."""

    def __init__(self, inner: Sampler, stage: str) -> None:
        super().__init__(inner)
        self._stage = stage
        self.asked: Counter[str] = Counter()

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        self.asked[request.stage] += request.n
        if request.stage == self._stage:
            return [REFUSED] * request.n
        return await super().sample(request, on_tokens, on_answer)


@pytest.mark.anyio
@pytest.mark.parametrize(("stage", "candidates", "asked_again"), [("localize", 0, 90), ("repair", 72, 72)])
async def test_a_good_server_draws_later_what_another_one_refused(
    demo_config: RunConfig, stage: str, candidates: int, asked_again: int
) -> None:
    work = Runner(demo_config)
    with work.open_run() as run:
        refusing = Refusing(open_sampler(demo_config, work.source), stage)
        await execute(demo_config, ScriptedSandbox(reply=passing), run, refusing)
        report = write_reports(run)
        assert report["verdicts"]["empty_patch"] == 9
        found = Counter(each.rejection for each in run.candidates.values())
        assert found == ({Rejection.SAMPLE_FAILED: candidates} if candidates else {})
        assert len(run.rewards) == 0  # what was never answered has no reward
    with work.open_run() as run:
        assert remove_refused(run) == sum(refusing.asked.values()) - (18 if stage == "repair" else 0)
        good = Refusing(open_sampler(demo_config, work.source), "")
        await execute(demo_config, ScriptedSandbox(reply=passing), run, good)
        assert sum(good.asked.values()) == asked_again
        assert {each.instance_id: each.index for each in run.selections.values()} == EXPECTED_CHOICE
        resumed = write_reports(run)
        assert remove_refused(run) == 0
    fresh = demo_config.model_copy(update={"run_id": "fresh"})
    with Runner(fresh).open_run() as run:
        await execute(fresh, ScriptedSandbox(reply=passing), run)
        straight = write_reports(run)
    assert {**resumed, "run_id": ""} == {**straight, "run_id": ""}
    assert settings(demo_config).repair.samples == 8
