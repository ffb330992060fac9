"""A whole run against the longer of its two halves: sampling alone, and testing alone.

The engine is one that is slowed: recorded answers, given at the pace of an engine with some places, each answer taking
one for the time of its tokens. It needs no processor, as an engine on a GPU needs none of those that run the tests.
"""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swerl_eval.config import RunConfig
from swerl_eval.core.types import Completion, SampleRequest
from swerl_eval.demo.setup import ANSWERS, SUITE, demo_settings, prepare
from swerl_eval.ports import OnAnswer, OnTokens, SamplerSettings, ignore
from swerl_eval.records.atomic import write_lines
from swerl_eval.records.json_files import read_lines
from swerl_eval.records.run_folder import Run
from swerl_eval.runner import Runner
from swerl_eval.samplers.replay import ReplaySampler
from swerl_eval.scheduling.request_queue import RequestQueue
from swerl_eval.sources.datasets import load_rows

PLACES = 8
"""Answers that the slowed engine decodes at a time."""
TIMES = (1, 3)
"""How often the suite is run over."""


class SlowedEngine:
    """Recorded answers at an engine's pace (a `ports.Sampler`), in the order of vLLM's priority scheduling."""

    recorded = True

    def __init__(self, answers: ReplaySampler, tokens_per_second: float) -> None:
        self._answers = answers
        self._rate = tokens_per_second / PLACES
        self._places = RequestQueue(PLACES)

    @classmethod
    def open(cls, settings: SamplerSettings) -> SlowedEngine:
        """Needs `answers` and `engine.tokens_per_second`; infinite: answers come at once."""
        return cls(ReplaySampler.open(settings), float(settings.engine["tokens_per_second"]))

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        """The recorded answers, each told when its time has come."""
        completions = await self._answers.sample(request, on_tokens)

        async def decode(place: int) -> None:
            async with self._places.slot(request.priority):
                await asyncio.sleep((completions[place].completion_tokens or 0) / self._rate)
            on_answer(place, completions[place])

        await asyncio.gather(*(decode(place) for place in range(request.n)))
        return completions

    def count_tokens(self, text: str) -> int:
        """As the recorded answers' sampler does."""
        return self._answers.count_tokens(text)

    async def aclose(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class Suite:
    """The bundled suite some times over, each time under other ids, in a folder of its own."""

    folder: Path
    rows: Path
    answers: Path

    @classmethod
    def write(cls, folder: Path, times: int) -> Suite:
        """Its rows and recorded answers."""
        suite = cls(folder, folder / "rows.jsonl", folder / "answers.jsonl")
        folder.mkdir()
        answers = [line for _, line in read_lines(ANSWERS)]
        for file, lines in ((suite.rows, load_rows(str(SUITE), None)), (suite.answers, answers)):
            copies = ({**line, "instance_id": f"{line['instance_id']}-{n}"} for n in range(times) for line in lines)
            write_lines(file, copies)
        return suite

    def run(self, name: str, tokens_per_second: float) -> float:
        """A run's seconds, from an empty run folder to the last verdict."""
        changes = {
            "dataset": str(self.rows),
            "sampler": f"{SlowedEngine.__module__}:{SlowedEngine.__name__}",
            "answers": str(self.answers),
            "engine": {"tokens_per_second": tokens_per_second},
            "evaluate": "selected",
            "workers": os.cpu_count(),
            "results": str(self.folder),
            "run_id": name,
            "reuse": False,
        }
        work = Runner(RunConfig(**{**demo_settings(), **changes}))
        begun = time.monotonic()
        with work.open_run() as opened:
            outcome = work.execute(opened)
        seconds = time.monotonic() - begun
        if not outcome.complete:
            sys.exit(f"{name}: {outcome.failures | outcome.infra_errors}")
        return seconds

    def drawn(self, name: str) -> dict[tuple[str, str], list[Completion]]:
        """What a run drew: answers by instance and stage."""
        found: dict[tuple[str, str], list[Completion]] = defaultdict(list)
        for sample in Run(self.folder / name).samples.values():
            found[sample.instance_id, sample.stage].append(sample.completion)
        return found

    def sampled(self, drawn: Mapping[tuple[str, str], Sequence[Completion]], tokens_per_second: float) -> float:
        """Seconds that the same answers take when all are asked for at once."""
        asked = [SampleRequest(*key, (), tuple(range(len(each))), 0, 1.0, 1.0, 1) for key, each in drawn.items()]

        async def draw() -> None:
            engine = SlowedEngine(ReplaySampler(self.answers), tokens_per_second)
            await asyncio.gather(*(engine.sample(each, lambda _: None) for each in asked))

        begun = time.monotonic()
        asyncio.run(draw())
        return time.monotonic() - begun


def overlap(repeats: int) -> Iterator[str]:
    """Wall time of a run against the longer one of sampling and testing, in the same minutes."""
    prepare(lambda _: None)
    yield "## Sampling and testing at the same time"
    yield ""
    yield "The bundled suite with reproduction tests, regression tests and strict verdicts; once, and some times over,"
    yield "since what nothing can overlap, the first patch and the last verdict, is much of so short a run. The engine"
    yield f"is slowed: recorded answers at the pace of one with {PLACES} places that takes as long as the tests."
    yield "Sampling alone: the same answers, all asked for at once. Testing alone: a run whose answers come at once."
    yield "Goal: at most 1.15."
    yield ""
    yield "| instances | sampling alone | testing alone | the run | against the longer one |"
    yield "|---|---|---|---|---|"
    medians = {}
    with tempfile.TemporaryDirectory() as name:
        for times in TIMES:
            suite = Suite.write(Path(name) / str(times), times)
            ratios = []
            for number in range(math.ceil(repeats / times)):
                testing = suite.run(f"testing-{number}", math.inf)
                drawn = suite.drawn(f"testing-{number}")
                tokens = sum(each.completion_tokens or 0 for several in drawn.values() for each in several)
                sampling = suite.sampled(drawn, tokens / testing)
                whole = suite.run(f"whole-{number}", tokens / testing)
                ratios.append(whole / max(sampling, testing))
                instances = len({instance_id for instance_id, _ in drawn})
                yield f"| {instances} | {sampling:.1f} s | {testing:.1f} s | {whole:.1f} s | {ratios[-1]:.2f} |"
            medians[instances] = statistics.median(ratios)
    yield ""
    yield f"Median: {', '.join(f'{ratio:.2f} with {instances} instances' for instances, ratio in medians.items())}."
