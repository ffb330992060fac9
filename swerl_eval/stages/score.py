"""The reward of each repair sample, once the oracle may be seen: how alike its change and the gold patch are."""

from __future__ import annotations

from collections.abc import Iterable

from swerl_eval.core.diffs import apply_patch, files_touched
from swerl_eval.core.edits import SOLUTION_END, SOLUTION_START, THINK_END, THINK_START
from swerl_eval.core.reward import calculate_search_replace_reward
from swerl_eval.core.types import Completion, Oracle, Reward, Sample
from swerl_eval.ports import Snapshot


def score(oracle: Oracle, snapshot: Snapshot, samples: Iterable[Sample]) -> list[Reward]:
    """Rewards of the samples, in order; none when the gold patch cannot be put as texts (binary files, say)."""
    originals = {path: snapshot.read(path) or "" for path in files_touched(oracle.patch)}
    try:
        solved = apply_patch(originals, oracle.patch)
    except ValueError:
        return []
    rewards = []
    for sample in samples:
        context = originals | {path: snapshot.read(path) or "" for path in sample.files if path not in originals}
        value, details = calculate_search_replace_reward(context, solved, _whole_answer(sample.completion))
        rewards.append(Reward(sample.instance_id, sample.index, value, str(details.get("error", ""))))
    return rewards


def _whole_answer(completion: Completion) -> str:
    """As the model wrote it, where a server took the thinking out."""
    if not completion.reasoning:
        return completion.text
    return f"{THINK_START}{completion.reasoning}{THINK_END}\n{SOLUTION_START}{completion.text}{SOLUTION_END}"
