"""What an export may claim: of patches that this run did not make, the grading and nothing else."""

from __future__ import annotations

from swerl_eval.core.types import GOLD, HANDED_IN
from swerl_eval.records.manifest import RunManifest


def grading_alone(manifest: RunManifest) -> str:
    """Why an export vouches for the grading alone; empty where this run drew the answers and chose the patches."""
    if manifest.patch_origin == HANDED_IN:
        return "the patches were handed in: who made them, with what, and in how many attempts is not known here"
    if manifest.patch_origin == GOLD:
        return "the patches are the dataset's own answers (gold), and no model's"
    return "the answers were recorded, not sampled: this is no result of a model" if manifest.recorded else ""
