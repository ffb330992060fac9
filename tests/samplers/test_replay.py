from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.core.errors import InputError, UsageError
from swerl_eval.core.types import Completion, Message, SampleRequest
from swerl_eval.demo.setup import ANSWERS, LOCALIZATION_SAMPLES, SAMPLES
from swerl_eval.ports import SamplerSettings, ignore
from swerl_eval.samplers.replay import ReplaySampler


def asking(*indices: int, instance_id: str = "a__b-1", stage: str = "repair") -> SampleRequest:
    return SampleRequest(instance_id, stage, (Message("user", "Fix it."),), indices, 7, 1.0, 1.0, 64)


def line(**fields: Any) -> str:
    return json.dumps({"instance_id": "a__b-1", "stage": "repair", **fields}) + "\n"


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    file = tmp_path / "answers.jsonl"
    repair = [
        {"text": "zero", "finish_reason": "stop", "prompt_tokens": 10, "completion_tokens": 3},
        {"text": "one", "finish_reason": "length", "completion_tokens": 5, "reasoning": "hm"},
        {"text": "two"},
    ]
    file.write_text(
        line(completions=repair) + line(stage="localize", completions=[{"text": "paths"}]), encoding="utf-8"
    )
    return file


@pytest.mark.anyio
async def test_the_answers_are_those_of_the_sample_numbers_in_the_order_asked(answers: Path) -> None:
    counts: list[int] = []
    assert await ReplaySampler(answers).sample(asking(2, 0, 1), counts.append) == [
        Completion("two"),
        Completion("zero", "stop", 10, 3),
        Completion("one", "length", None, 5, reasoning="hm"),
    ]
    assert counts == [0, 3, 5]


@pytest.mark.anyio
async def test_stages_have_answers_of_their_own(answers: Path) -> None:
    sampler = ReplaySampler(answers)
    assert await sampler.sample(asking(0, stage="localize"), print) == [Completion("paths")]


@pytest.mark.anyio
async def test_a_sample_for_which_nothing_is_recorded_is_a_recorded_failure(answers: Path) -> None:
    sampler = ReplaySampler(answers)
    assert await sampler.sample(asking(2, 3), ignore) == [
        Completion("two"),
        Completion("", "error", error="not recorded: repair answer 3"),
    ]
    assert await sampler.sample(asking(0, instance_id="a__b-2"), ignore) == [
        Completion("", "error", error="not recorded: repair answer 0")
    ]


@pytest.mark.anyio
async def test_the_bundled_answers_are_as_many_as_the_demo_draws() -> None:
    sampler = ReplaySampler(ANSWERS)
    ids = {json.loads(text)["instance_id"] for text in ANSWERS.read_text(encoding="utf-8").splitlines()}
    assert len(ids) == 9
    for name in sorted(ids):
        for stage, count in (("localize", LOCALIZATION_SAMPLES), ("repair", SAMPLES)):
            completions = await sampler.sample(asking(*range(count + 1), instance_id=name, stage=stage), ignore)
            assert [completion.finish_reason == "error" for completion in completions] == [False] * count + [True]


def test_opening_without_a_file_names_the_option() -> None:
    with pytest.raises(UsageError, match="--answers FILE"):
        ReplaySampler.open(SamplerSettings())


@pytest.mark.parametrize(
    ("second_line", "complaint"),
    [
        (b'{"stage": "repair", "completions": []}\n', "no 'instance_id'"),
        (b'{"instance_id": "x", "completions": []}\n', "no 'stage'"),
        (b'{"instance_id": "x", "stage": "repair"}\n', "no 'completions'"),
        (b'{"instance_id": "a", "stage": "s", "completions": []}\n', "a second line for a, stage s"),
        (b'{"instance_id": "x", "stage": "s", "completions": [{"finish_reason": "stop"}]}\n', "Field required"),
        (b'{"instance_id": "x", "stage": "s", "completions": [{"text": 5}]}\n', "valid string"),
        (b'{"instance_id": "x", "stage": "s", "completions": "text"}\n', "valid list"),
        (b"{torn\n", "not valid JSON: "),
        (b"[1]\n", "expected an object, found list"),
    ],
)
def test_a_malformed_line_is_named_by_file_and_number(second_line: bytes, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_bytes(b'{"instance_id": "a", "stage": "s", "completions": []}\n' + second_line)
    with pytest.raises(InputError) as caught:
        ReplaySampler(file)
    assert str(caught.value).startswith(f"{file}, line 2: ")
    assert complaint in str(caught.value)


def test_a_file_that_is_not_utf8_is_said_to_be_so(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_bytes(b'{"instance_id": "caf\xe9", "stage": "s", "completions": []}\n')
    with pytest.raises(InputError, match="line 1: not valid UTF-8"):
        ReplaySampler(file)


@pytest.mark.anyio
async def test_a_file_is_read_as_pythons_json_reads_it(tmp_path: Path) -> None:
    """As predictions are: a byte order mark, blank lines, NaN and lone surrogates are no faults."""
    file = tmp_path / "answers.jsonl"
    completions = '[{"text": "one \\ud800", "score": NaN}]'
    line = f'{{"instance_id": "a__b-1", "stage": "repair", "cost": Infinity, "completions": {completions}}}'
    file.write_bytes(b"\xef\xbb\xbf\n\n" + line.encode() + b"\r\n")
    assert await ReplaySampler(file).sample(asking(0), lambda _: None) == [Completion("one \ud800")]


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.jsonl: No such file or directory"):
        ReplaySampler(tmp_path / "nowhere.jsonl")
    with pytest.raises(InputError, match="Is a directory"):
        ReplaySampler(tmp_path)
