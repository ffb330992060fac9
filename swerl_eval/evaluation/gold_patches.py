"""Stores the gold patches of evaluated instances in a run folder, for its reports."""

from __future__ import annotations

from swerl_eval.core.codings import sendable
from swerl_eval.core.types import GoldPatch, Oracle
from swerl_eval.records.run_folder import Run


def store_gold_patch(run: Run, oracle: Oracle) -> None:
    """Store an instance's gold patch where the run folder lacks it, or has another one of an older dataset."""
    gold = GoldPatch(oracle.instance_id, sendable(oracle.patch))
    if run.gold_patches.get(oracle.instance_id) != gold:
        run.gold_patches.append(gold)
