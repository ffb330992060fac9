"""Answer from a file of recorded answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonlines
import orjson
from pydantic import TypeAdapter, ValidationError

from swerl_eval.core.errors import InputError, UsageError
from swerl_eval.core.types import Completion, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens, SamplerSettings, ignore
from swerl_eval.samplers import estimated_tokens


class ReplaySampler:
    """Gives sample k recorded answer k of its instance and stage (a `ports.Sampler`).

    The file has one line per instance and stage: `{"instance_id", "stage", "completions": [{"text", …}, …]}`. A sample
    without a recorded answer is a completion with `error` set; no answer is used twice. `sample` raises nothing.

    Args:
        answers: The file, read now.

    Raises:
        InputError: The file cannot be read; the message names the line.
    """

    recorded = True

    def __init__(self, answers: Path) -> None:
        self._answers = _read(answers)

    @classmethod
    def open(cls, settings: SamplerSettings) -> ReplaySampler:
        """Take `answers`. Raises `UsageError` without them, `InputError` if the file is wrong."""
        if settings.answers is None:
            message = "the replay sampler needs the file of recorded answers: --answers FILE"
            raise UsageError(message)
        return cls(settings.answers)

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        """Return the recorded answers for the request's sample numbers."""
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
        """Estimate the number of tokens from the number of bytes."""
        return estimated_tokens(text)

    async def aclose(self) -> None:
        """Do nothing."""


def _read(path: Path) -> dict[tuple[str, str], list[Completion]]:
    adapter = TypeAdapter(list[Completion])
    answers: dict[tuple[str, str], list[Completion]] = {}
    try:
        with jsonlines.open(path, loads=orjson.loads) as reader:
            for number, line in enumerate(reader.iter(type=dict), start=1):
                key = _key(line, f"{path}, line {number}")
                if key in answers:
                    message = f"{path}, line {number}: a second line for {key[0]}, stage {key[1]}"
                    raise InputError(message)
                answers[key] = adapter.validate_python(line["completions"])
    except OSError as error:
        message = f"cannot read the recorded answers {path}: {error.strerror}"
        raise InputError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path}, line {len(answers) + 1} or later: not UTF-8 text"
        raise InputError(message) from error
    except jsonlines.InvalidLineError as error:
        message = f"{path}, line {error.lineno}: {error.args[0]}"
        raise InputError(message) from error
    except ValidationError as error:
        message = f"{path}, line {len(answers) + 1}: completions: {error.errors()[0]['msg']}"
        raise InputError(message) from error
    return answers


def _key(line: dict[str, Any], where: str) -> tuple[str, str]:
    for field in ("instance_id", "stage", "completions"):
        if field not in line:
            message = f"{where}: no {field!r}; a line is {{instance_id, stage, completions: [{{text}}]}}"
            raise InputError(message)
    return str(line["instance_id"]), str(line["stage"])
