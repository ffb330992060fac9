"""The contract of `ports.Sampler`, over the table. A new sampler needs a line in the table and one in `SETTINGS`."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.core import edits
from swerl_eval.core.errors import UsageError
from swerl_eval.core.types import Completion, Message, Oracle, SampleRequest
from swerl_eval.ports import Sampler, SamplerSettings, ignore
from swerl_eval.registry import load
from swerl_eval.samplers import SAMPLERS
from tests.fake_server import serving

INSTANCE = "a__b-1"
PATCH = "diff --git a/z.py b/z.py\n--- a/z.py\n+++ b/z.py\n@@ -1 +1 @@\n-old\n+new\n"
RECORDED = 6
"""Answers in the file of the replay sampler."""


def _openai(folder: Path) -> Iterator[SamplerSettings]:
    with serving() as server:
        yield SamplerSettings(model="fake", base_urls=(server.base_url,))


def _replay(folder: Path) -> Iterator[SamplerSettings]:
    file = folder / "answers.jsonl"
    completions = [{"text": f"answer {number}", "completion_tokens": 2} for number in range(RECORDED)]
    file.write_text(
        json.dumps({"instance_id": INSTANCE, "stage": "repair", "completions": completions}) + "\n", encoding="utf-8"
    )
    yield SamplerSettings(answers=file)


def _gold(folder: Path) -> Iterator[SamplerSettings]:
    yield SamplerSettings(oracle=lambda instance_id: Oracle(instance_id, PATCH, "", {}))


def _vllm(folder: Path) -> Iterator[SamplerSettings]:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed here (tests/samplers/vllm/test_vllm_sampler.py says how)")
    from tests.tiny_model import ENGINE, make_tiny_model

    engine = {**ENGINE, "max_model_len": 512}
    yield SamplerSettings(model=str(make_tiny_model(folder)), engine=engine)


SETTINGS: dict[str, Callable[[Path], Iterator[SamplerSettings]]] = {
    "openai": _openai,
    "replay": _replay,
    "gold": _gold,
    "vllm": _vllm,
}
DRAWN_NOW = {"openai": True, "vllm": True, "replay": False, "gold": False}
"""Whether the answers come from a model at the time of the run."""

NAMES = [pytest.param(name, marks=[pytest.mark.vllm] if name == "vllm" else []) for name in SAMPLERS]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for all, since a real engine takes long to start and stays with its loop."""
    return "asyncio"


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """Of the sampler under contract."""
    parameter: str = request.param
    return parameter


@pytest.fixture(scope="module")
def settings(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamplerSettings]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield from SETTINGS[name](tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def kind(name: str) -> Any:
    return load("sampler", name, SAMPLERS)


@pytest.fixture(scope="module")
async def sampler(kind: Any, settings: SamplerSettings) -> AsyncIterator[Sampler]:
    opened = kind.open(settings)
    yield opened
    await opened.aclose()


def asking(*indices: int, seed: int = 40) -> SampleRequest:
    messages = (Message("system", "Think."), Message("user", "Fix it."))
    return SampleRequest(INSTANCE, "repair", messages, indices, seed, 1.0, 1.0, 16)


def texts(completions: list[Completion]) -> list[str]:
    return [completion.text for completion in completions]


@pytest.mark.anyio
async def test_there_are_exactly_n_answers_and_none_is_an_error(sampler: Sampler) -> None:
    for n in (1, 2, 5):
        completions = await sampler.sample(asking(*range(n)), ignore)
        assert [type(completion) for completion in completions] == [Completion] * n
        assert [completion.error for completion in completions] == [""] * n
        assert {completion.finish_reason for completion in completions} <= {"stop", "length"}


@pytest.mark.anyio
async def test_answer_k_is_that_of_the_kth_index_and_of_seed_plus_k(sampler: Sampler) -> None:
    together = await sampler.sample(asking(0, 1, 2, 3), ignore)
    alone = [(await sampler.sample(asking(k, seed=40 + k), ignore))[0] for k in range(4)]
    assert texts(together) == texts(alone)


@pytest.mark.anyio
async def test_it_may_be_called_concurrently(sampler: Sampler) -> None:
    requests = [asking(k, k + 1, seed=40 + k) for k in range(5)]
    together = await asyncio.gather(*(sampler.sample(request, ignore) for request in requests))
    one_by_one = [await sampler.sample(request, ignore) for request in requests]
    assert [texts(answers) for answers in together] == [texts(answers) for answers in one_by_one]


@pytest.mark.anyio
async def test_on_tokens_is_called_with_counts_before_the_answers_are_there(sampler: Sampler) -> None:
    counts: list[int] = []
    await sampler.sample(asking(0, 1), counts.append)
    assert counts
    assert all(type(count) is int and count >= 0 for count in counts)


@pytest.mark.anyio
async def test_tokens_are_counted_carefully(sampler: Sampler) -> None:
    assert sampler.count_tokens("") == 0
    source = Path(edits.__file__).read_text(encoding="utf-8")
    lengths = [sampler.count_tokens(source[:end]) for end in range(0, len(source), 500)]
    assert lengths == sorted(lengths)
    assert lengths[1] > 0
    # a token of the usual vocabularies is about four bytes of code; a tenth below is allowed
    assert sampler.count_tokens(source) >= 0.9 * len(source.encode()) / 4
    assert sampler.count_tokens("caf\udce9") > 0  # bytes of a repository that are not UTF-8


@pytest.mark.anyio
async def test_it_can_be_closed_without_having_been_used(kind: Any, settings: SamplerSettings) -> None:
    assert await kind.open(settings).aclose() is None


@pytest.mark.parametrize("name", SAMPLERS)
def test_it_says_whether_its_answers_are_recorded(name: str) -> None:
    assert load("sampler", name, SAMPLERS).recorded is not DRAWN_NOW[name]


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_entry_of_the_table_is_a_class_with_the_methods_of_the_seam(name: str) -> None:
    kind: Any = load("sampler", name, SAMPLERS)
    assert isinstance(kind, type)
    for method in ("open", "sample", "count_tokens", "aclose"):
        assert callable(getattr(kind, method)), method
    assert isinstance(kind.__dict__["recorded"], bool)


@pytest.mark.parametrize(
    ("name", "needed"),
    [("openai", "--model"), ("vllm", "--model"), ("replay", "--answers"), ("gold", "dataset with answers")],
)
def test_opened_without_what_it_needs_it_names_that(name: str, needed: str) -> None:
    with pytest.raises(UsageError, match=needed):
        load("sampler", name, SAMPLERS).open(SamplerSettings())


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_vllm_sampler_names_the_line_that_installs_it() -> None:
    with pytest.raises(UsageError, match=r"pip install 'swerl-eval\[vllm\]'"):
        load("sampler", "vllm", SAMPLERS).open(SamplerSettings(model="org/model"))


@pytest.mark.parametrize(("typo", "meant"), [("opeani", "openai"), ("VLLM", None), ("replya", "replay"), ("x", None)])
def test_a_name_with_a_typo_says_what_was_meant(typo: str, meant: str | None) -> None:
    hint = f"; did you mean {meant}?" if meant else "."
    with pytest.raises(UsageError) as caught:
        load("sampler", typo, SAMPLERS)
    names = ", ".join(sorted(SAMPLERS))
    assert str(caught.value) == f"no sampler {typo!r}{hint} There are {names}, or package.module:Class"


def test_every_sampler_of_the_table_is_under_contract() -> None:
    assert set(SETTINGS) == set(SAMPLERS) == set(DRAWN_NOW)
