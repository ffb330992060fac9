"""The reward of each repair sample: how similar its change is to the gold patch."""

from __future__ import annotations

from collections.abc import Iterable

from swerl_eval.core.answers.solution import published_form
from swerl_eval.core.diffs import apply_patch, files_touched
from swerl_eval.core.reward import calculate_search_replace_reward
from swerl_eval.core.types import Oracle, Reward, Sample
from swerl_eval.ports import Snapshot


def score(oracle: Oracle, snapshot: Snapshot, samples: Iterable[Sample]) -> list[Reward]:
    """Return the rewards of the samples, in order; none when the gold patch is not text, such as a binary file."""
    originals = {path: snapshot.read(path) or "" for path in files_touched(oracle.patch)}
    try:
        solved = apply_patch(originals, oracle.patch)
    except ValueError:
        return []
    rewards = []
    for sample in samples:
        context = originals | {path: snapshot.read(path) or "" for path in sample.files if path not in originals}
        value, details = calculate_search_replace_reward(context, solved, published_form(sample.completion))
        rewards.append(Reward(sample.instance_id, sample.index, value, str(details.get("error", ""))))
    return rewards
