"""The reward of each repair sample: how similar its change is to the gold patch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from swerl_eval.core.answers.solution import published_form
from swerl_eval.core.diffs import apply_patch, files_touched
from swerl_eval.core.reward import calculate_search_replace_reward
from swerl_eval.core.types import Oracle, Reward, Sample
from swerl_eval.ports import Snapshot, Source


class GoldChange(NamedTuple):
    """The texts of the files that a gold patch changes, by path."""

    before: dict[str, str]
    after: dict[str, str]


def gold_change(source: Source, instance_id: str, snapshot: Snapshot) -> GoldChange | None:
    """Return what an instance's gold patch changes; None when that cannot be told, as for a binary file."""
    return _change(source.oracle(instance_id), snapshot)


def score(oracle: Oracle, snapshot: Snapshot, samples: Iterable[Sample]) -> list[Reward]:
    """Return the rewards of the samples, in order; none when the gold patch is not text, such as a binary file."""
    change = _change(oracle, snapshot)
    if change is None:
        return []
    rewards = []
    for sample in samples:
        context = with_shown(change, snapshot, sample.files)
        value, details = calculate_search_replace_reward(context, change.after, published_form(sample.completion))
        rewards.append(Reward(sample.instance_id, sample.index, value, str(details.get("error", ""))))
    return rewards


def with_shown(change: GoldChange, snapshot: Snapshot, shown: Iterable[str]) -> dict[str, str]:
    """Return the texts that an answer may search in: those that the gold patch changes, and those that were shown."""
    return change.before | {path: snapshot.read(path) or "" for path in shown if path not in change.before}


def _change(oracle: Oracle, snapshot: Snapshot) -> GoldChange | None:
    originals = {path: snapshot.read(path) or "" for path in files_touched(oracle.patch)}
    try:
        return GoldChange(originals, apply_patch(originals, oracle.patch))
    except ValueError:
        return None
