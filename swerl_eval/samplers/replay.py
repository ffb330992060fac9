"""Recorded answers instead of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from swerl_eval.core.errors import UsageError
from swerl_eval.core.types import Completion, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens, SamplerSettings, ignore
from swerl_eval.records.json_files import malformed, read_lines
from swerl_eval.samplers import estimated_tokens


class ReplaySampler:
    """Gives answer number k of an instance and stage to sample k (a `ports.Sampler`).

    The file has one line per instance and stage: `{"instance_id", "stage", "completions": [{"text", …}, …]}`. A sample
    for which nothing is recorded is a recorded failure, not an answer used twice.
    """

    recorded = True

    def __init__(self, answers: Path) -> None:
        self._answers = _read(answers)

    @classmethod
    def open(cls, settings: SamplerSettings) -> ReplaySampler:
        """Needs `answers`."""
        if settings.answers is None:
            message = "the replay sampler needs the file of recorded answers: --answers FILE"
            raise UsageError(message)
        return cls(settings.answers)

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        """The recorded answers for the request's sample numbers."""
        recorded = self._answers.get((request.instance_id, request.stage), [])
        completions = []
        for index in request.indices:
            if index < len(recorded):
                completion = recorded[index]
                on_tokens(completion.completion_tokens or 0)
            else:
                completion = Completion("", "error", error=f"not recorded: {request.stage} answer {index}")
            completions.append(completion)
        return completions

    def count_tokens(self, text: str) -> int:
        """An estimate."""
        return estimated_tokens(text)

    async def aclose(self) -> None:
        """Nothing is held."""


def _read(path: Path) -> dict[tuple[str, str], list[Completion]]:
    adapter = TypeAdapter(list[Completion])
    answers: dict[tuple[str, str], list[Completion]] = {}
    for place, line in read_lines(path):
        key = _key(line, place)
        if key in answers:
            raise malformed(place, f"a second line for {key[0]}, stage {key[1]}")
        try:
            answers[key] = adapter.validate_python(line["completions"])
        except ValidationError as error:
            raise malformed(place, f"completions: {error.errors()[0]['msg']}") from error
    return answers


def _key(line: dict[str, Any], place: str) -> tuple[str, str]:
    for field in ("instance_id", "stage", "completions"):
        if field not in line:
            raise malformed(place, f"no {field!r}", "a line is {instance_id, stage, completions: [{text}]}")
    return str(line["instance_id"]), str(line["stage"])
