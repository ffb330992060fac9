from __future__ import annotations

import pytest

from swerl_eval.core.errors import SamplerError, UsageError
from swerl_eval.core.types import Completion, Message, Oracle, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens, ignore
from swerl_eval.samplers.gold import GoldSampler
from swerl_eval.samplers.redacting import RedactingSampler
from tests.wrapped_sampler import WrappedSampler

SHORT, LONG = "password", "sk-0123456789abcdefghij"
REQUEST = SampleRequest("a__b-1", "repair", (Message("user", "?"),), (0, 1), 0, 1.0, 1.0, 16)


class Echo(WrappedSampler):
    """Repeats both secrets."""

    failure: Exception | None = None

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        if self.failure is not None:
            raise self.failure
        said = f"{SHORT} {LONG}"
        completions = [Completion(said, reasoning=said), Completion("", error=said)]
        on_answer(0, completions[0])
        return completions

    def stats(self) -> dict[str, int]:
        return {"engine_restarts": 1}


@pytest.fixture
def echo() -> Echo:
    return Echo(GoldSampler(lambda name: Oracle(name, "", "", {})))


@pytest.mark.anyio
async def test_errors_lose_every_secret_and_answers_those_that_are_no_words(echo: Echo) -> None:
    early: list[tuple[int, Completion]] = []
    sampler = RedactingSampler(echo, frozenset({SHORT, LONG}))
    answers = await sampler.sample(REQUEST, ignore, lambda place, completion: early.append((place, completion)))
    assert answers == [
        Completion("password <redacted>", reasoning="password <redacted>"),
        Completion("", error="<redacted> <redacted>"),
    ]
    assert early == [(0, answers[0])]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [SamplerError, UsageError])
async def test_an_error_that_ends_the_run_keeps_its_kind_and_loses_its_secrets(
    echo: Echo, kind: type[Exception]
) -> None:
    echo.failure = kind(f"{LONG} was refused")
    with pytest.raises(kind, match=r"^<redacted> was refused$"):
        await RedactingSampler(echo, frozenset({LONG})).sample(REQUEST, ignore)


@pytest.mark.anyio
async def test_without_the_secret_that_a_server_needs_nothing_is_sent(echo: Echo) -> None:
    sampler = RedactingSampler(echo, frozenset(), lacking="give base_url again")
    assert sampler.count_tokens("abc") == 1
    with pytest.raises(UsageError, match="give base_url again"):
        await sampler.sample(REQUEST, ignore)
    await sampler.aclose()


def test_it_has_the_optional_methods_that_the_inner_sampler_has(echo: Echo) -> None:
    sampler = RedactingSampler(echo, frozenset())
    assert sampler.stats() == {"engine_restarts": 1}
    assert not hasattr(sampler, "abort")
    assert sampler.recorded is True
