"""swerl_eval.integrations.batch."""

from __future__ import annotations

import pytest

from swerl_eval.integrations.batch import RewardCase, rewards

BLOCK = "```\n### m.py\n<<<<<<< SEARCH\nb = 2\n=======\nb = {}\n>>>>>>> REPLACE\n```"


def case(number):
    answer = f"<think>t</think><solution>{BLOCK.format(number)}</solution>" if number % 5 else "no"
    return RewardCase({"m.py": "a = 1\nb = 2\n"}, {"m.py": "a = 1\nb = 3\n"}, answer)


@pytest.mark.parametrize("workers", [1, 2])
def test_rewards_come_in_the_order_of_the_cases(workers):
    results = list(rewards(map(case, range(3, 60)), workers=workers))
    assert len(results) == 57
    assert results[0] == (1.0, None)
    assert results[2][0] == -1.0
    assert "<think>" in (results[2].error or "")
    assert all((result.error is None) == bool(number % 5) for number, result in enumerate(results, start=3))


def test_cases_are_read_as_they_are_needed():
    read = []

    def cases():
        for number in range(100):
            read.append(number)
            yield case(number)

    results = rewards(cases())
    assert next(results).value == -1.0
    assert read == [0]


def test_strict_reaches_the_processes():
    unfenced = case(3)._replace(output="<think>t</think><solution>" + BLOCK.format(3)[:-4] + "</solution>")
    assert [result.value for result in rewards([unfenced], workers=2)] == [1.0]
    assert [result.value for result in rewards([unfenced], workers=2, strict=True)] == [-1.0]


def test_stopping_early_does_not_wait_for_all():
    results = rewards(map(case, range(10**9)), workers=2)
    assert next(results).value == -1.0
    results.close()  # type: ignore[attr-defined]  # a generator
