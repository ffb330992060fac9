from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.core.diffs import apply_patch, unified_diff
from swerl_eval.core.types import Completion, Oracle, Reward, Sample
from swerl_eval.evaluation.rewards import score

TEXTS = st.lists(st.sampled_from(["a", "b", "", "x = 1", "\tü"]), max_size=12).flatmap(
    lambda lines: st.sampled_from(["\n".join(lines), "\n".join(lines) + "\n"])
)


@given(before=TEXTS, after=TEXTS)
def test_applying_a_diff_gives_the_text_that_it_was_made_for(before: str, after: str) -> None:
    texts = {"m.py": before}
    patch = unified_diff(texts, {"m.py": after})
    assert apply_patch(texts, patch) == ({} if before == after else {"m.py": after})


@given(after=TEXTS.filter(bool))
def test_a_new_file_comes_from_nothing(after: str) -> None:
    assert apply_patch({}, unified_diff({}, {"new.py": after})) == {"new.py": after}


def test_a_hunk_that_does_not_fit_is_an_error() -> None:
    patch = unified_diff({"m.py": "a\nb\n"}, {"m.py": "a\nc\n"})
    with pytest.raises(ValueError, match=r"m.py: the hunk at line 1 does not fit"):
        apply_patch({"m.py": "something else\n"}, patch)


class Files:
    """A snapshot of two files."""

    def paths(self) -> Sequence[str]:
        return ["m.py", "n.py"]

    def read(self, path: str) -> str | None:
        return {"m.py": "def f(x):\n    return x\n", "n.py": "y = 1\n"}.get(path)


def sample(index: int, text: str, reasoning: str = "") -> Sample:
    return Sample("i", "repair", index, Completion(text, reasoning=reasoning), ("m.py",), "0", index)


GOLD = unified_diff({"m.py": "def f(x):\n    return x\n"}, {"m.py": "def f(x):\n    return x + 1\n"})
EDIT = "```python\n### m.py\n<<<<<<< SEARCH\n    return x\n=======\n    return x + 1\n>>>>>>> REPLACE\n```"
SOLUTION = f"<solution>\n{EDIT}\n</solution>"
HARMONY = f"<|channel|>analysis<|message|>t<|end|><|start|>assistant<|channel|>final<|message|>{SOLUTION}<|return|>"


@pytest.mark.parametrize(
    ("text", "reasoning"),
    [
        (f"<think>t</think>{SOLUTION}", ""),
        (SOLUTION, "a server took the thinking out"),
        (f"\n{SOLUTION}\n", "<think>and left its tags</think>"),
        (EDIT, "and the model wrote no tags"),
        (f"the template opened it</think>\n{SOLUTION}", ""),
        (f"[THINK]t[/THINK]{SOLUTION}", ""),
        (f"<thinking>t</thinking>{SOLUTION}", ""),
        (HARMONY, ""),
    ],
)
def test_a_right_answer_has_its_reward_however_the_server_sends_it(text: str, reasoning: str) -> None:
    assert score(Oracle("i", GOLD, "", {}), Files(), [sample(0, text, reasoning)]) == [Reward("i", 0, 1.0)]


@pytest.mark.parametrize(
    ("text", "reasoning", "error"),
    [
        (EDIT, "", "<think> occurs 0 times instead of once"),
        (SOLUTION, "", "<think> occurs 0 times instead of once"),
        (f"<think>t</think>{EDIT}", "", "<solution> occurs 0 times instead of once"),
        (f"<think>t{SOLUTION}", "", "</think> occurs 0 times instead of once"),
        (f"[THINK]t{SOLUTION}", "", "</think> occurs 0 times instead of once"),
        (f"<think>t</think>{SOLUTION}{SOLUTION}", "", "<solution> occurs 2 times instead of once"),
        (f"<think>t</think> or </think>{SOLUTION}", "", "</think> occurs 2 times instead of once"),
        (f"[THINK]t[/THINK] or [/THINK]{SOLUTION}", "", "</think> occurs 2 times instead of once"),
        (f"<solution>{EDIT}", "t", "</solution> occurs 0 times instead of once"),
        (SOLUTION, " ", "nothing between <think> and </think>"),
        ("", "t", "the solution holds no whole SEARCH/REPLACE block"),
    ],
)
def test_what_the_model_did_wrong_stays_a_format_error(text: str, reasoning: str, error: str) -> None:
    assert score(Oracle("i", GOLD, "", {}), Files(), [sample(0, text, reasoning)]) == [Reward("i", 0, -1.0, error)]


def test_each_sample_has_its_reward_in_order() -> None:
    samples = [sample(0, SOLUTION, "t"), sample(1, EDIT), sample(2, f"<think>t</think>{SOLUTION}")]
    found = score(Oracle("i", GOLD, "", {}), Files(), samples)
    assert [(reward.index, reward.value) for reward in found] == [(0, 1.0), (1, -1.0), (2, 1.0)]


def test_a_gold_patch_that_does_not_fit_gives_no_reward_rather_than_a_wrong_one() -> None:
    gold = unified_diff({"m.py": "other\n"}, {"m.py": "text\n"})
    assert score(Oracle("i", gold, "", {}), Files(), [sample(0, "x")]) == []
