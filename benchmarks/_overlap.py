"""A whole run against the longer of its two halves: sampling alone, and testing alone.

The engine is one that is slowed: recorded answers, given at the pace of an engine with some places, each answer taking
one for the time of its tokens. It needs no processor, as an engine on a GPU needs none of those that run the tests.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from swerl_eval.compose import Work
from swerl_eval.config import RunConfig
from swerl_eval.core.types import Completion, SampleRequest
from swerl_eval.demo.setup import ANSWERS, demo_settings, prepare
from swerl_eval.ports import OnAnswer, OnTokens, SamplerSettings, unheard
from swerl_eval.samplers.replay import ReplaySampler
from swerl_eval.store import Run

PLACES = 8
"""Answers that the slowed engine decodes at a time."""
REQUESTS = 4
"""In flight, each for up to 8 answers: more than it has places for, so that it is never idle for want of requests."""


class SlowedEngine:
    """Recorded answers at an engine's pace (a `ports.Sampler`). Who asks first is served first."""

    recorded = True

    def __init__(self, answers: ReplaySampler, tokens_per_second: float) -> None:
        self._answers = answers
        self._rate = tokens_per_second / PLACES
        self._places = asyncio.Semaphore(PLACES)

    @classmethod
    def open(cls, settings: SamplerSettings) -> SlowedEngine:
        """Needs `answers` and `engine.tokens_per_second`; infinite: answers come at once."""
        return cls(ReplaySampler.open(settings), float(settings.engine["tokens_per_second"]))

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = unheard
    ) -> list[Completion]:
        """The recorded answers, each told when its time has come."""
        completions = await self._answers.sample(request, on_tokens)

        async def decode(place: int) -> None:
            async with self._places:
                await asyncio.sleep((completions[place].completion_tokens or 0) / self._rate)
            on_answer(place, completions[place])

        await asyncio.gather(*(decode(place) for place in range(request.n)))
        return completions

    def count_tokens(self, text: str) -> int:
        """As the recorded answers' sampler does."""
        return self._answers.count_tokens(text)

    async def aclose(self) -> None:
        """Nothing is held."""


def run(folder: Path, name: str, rate: float) -> float:
    """A run's seconds, from an empty run folder to the last verdict."""
    config = RunConfig(
        **{
            **demo_settings(),
            "sampler": f"{__name__}:SlowedEngine",
            "engine": {"tokens_per_second": rate},
            "evaluate": "selected",
            "requests": REQUESTS,
            "results": str(folder),
            "run_id": name,
            "reuse": False,
        }
    )
    work = Work(config)
    begun = time.monotonic()
    with work.open_run() as opened:
        outcome = work.carry_out(opened)
    seconds = time.monotonic() - begun
    if not outcome.complete:
        sys.exit(f"{name}: {outcome.failures | outcome.infra_errors}")
    return seconds


def drawn(folder: Path) -> dict[tuple[str, str], list[Completion]]:
    """What a run drew: answers by instance and stage."""
    found: dict[tuple[str, str], list[Completion]] = defaultdict(list)
    for sample in Run(folder).samples.values():
        found[sample.instance_id, sample.stage].append(sample.completion)
    return found


def sampled(asked: dict[tuple[str, str], int], rate: float) -> float:
    """Seconds that the same answers take when all are asked for at once."""

    async def draw() -> None:
        engine = SlowedEngine(ReplaySampler(ANSWERS), rate)
        await asyncio.gather(*(engine.sample(request(*key, n), lambda _: None) for key, n in asked.items()))

    begun = time.monotonic()
    asyncio.run(draw())
    return time.monotonic() - begun


def request(instance_id: str, stage: str, n: int) -> SampleRequest:
    """For all recorded answers of a stage."""
    return SampleRequest(instance_id, stage, (), tuple(range(n)), 0, 1.0, 1.0, 1)


def overlap(repeats: int) -> Iterator[str]:
    """Wall time of a run against the longer one of sampling and testing, in the same minutes."""
    prepare(lambda _: None)
    yield "## Sampling and testing at the same time"
    yield ""
    yield "The bundled suite with reproduction tests, regression tests and strict verdicts. The engine is slowed:"
    yield f"recorded answers at the pace of one with {PLACES} places that takes about as long as the tests. Sampling"
    yield "alone: the same answers, all asked for at once. Testing alone: a run whose answers come at once."
    yield "Goal: at most 1.15."
    yield ""
    yield "| round | sampling alone | testing alone | the run | against the longer one |"
    yield "|---|---|---|---|---|"
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(folder, "warm", math.inf)
        answers = drawn(folder / "warm")
        asked = {key: len(each) for key, each in answers.items()}
        tokens = sum(each.completion_tokens or 0 for several in answers.values() for each in several)
        for number in range(repeats):
            testing = run(folder, f"testing-{number}", math.inf)
            rate = tokens / testing
            sampling = sampled(asked, rate)
            whole = run(folder, f"whole-{number}", rate)
            ratios.append(whole / max(sampling, testing))
            yield f"| {number + 1} | {sampling:.1f} s | {testing:.1f} s | {whole:.1f} s | {ratios[-1]:.2f} |"
    yield ""
    yield f"Median: {statistics.median(ratios):.2f}."
