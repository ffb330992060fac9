"""Checks for exports that speak for a whole published split: which split a run is of, and whether it has all of it."""

from __future__ import annotations

from dataclasses import dataclass

from swerl_eval.core.errors import UsageError
from swerl_eval.core.hub_names import split_revision
from swerl_eval.records.manifest import RunManifest


@dataclass(frozen=True)
class PublishedSplit:
    """A split of a public dataset."""

    dataset: str
    """Id on the hub."""
    subset: str
    """The dataset's name for sb-cli."""
    split: str
    instances: int
    aliases: tuple[str, ...]
    """Other names of the dataset in this program and on the hub."""


_VERIFIED = ("verified", "princeton-nlp/SWE-bench_Verified")
_LITE = ("lite", "princeton-nlp/SWE-bench_Lite")
SPLITS = (
    PublishedSplit("SWE-bench/SWE-bench_Verified", "swe-bench_verified", "test", 500, _VERIFIED),
    PublishedSplit("SWE-bench/SWE-bench_Lite", "swe-bench_lite", "test", 300, _LITE),
    PublishedSplit("SWE-bench/SWE-bench_Lite", "swe-bench_lite", "dev", 23, _LITE),
)
_CHOICES = ("instances", "repo", "difficulty", "limit", "shard")
"""Settings that choose a part of a split."""


def published_split(manifest: RunManifest, form: str) -> PublishedSplit:
    """Return the split that a run names as its dataset.

    Args:
        manifest: What the run is.
        form: Name of the export, for the message.

    Raises:
        UsageError: It is none of `SPLITS`, or has not their number of instances.
    """
    dataset, split = str(manifest.config["dataset"]), str(manifest.config.get("split"))
    name = split_revision(dataset)[0].lower()
    for known in SPLITS:
        if name in {text.lower() for text in (known.dataset, *known.aliases)} and split == known.split:
            if len(manifest.instances) > known.instances:
                message = (
                    f"--to {form}: {known.dataset} has {known.instances} instances in its split {split}, and the run "
                    f"has {len(manifest.instances)}; something else has that name here"
                )
                raise UsageError(message)
            return known
    names = ", ".join(f"{known.dataset} ({known.split})" for known in SPLITS)
    message = f"--to {form} is for runs of {names}; this run's dataset is {dataset} ({split}); choose another export"
    raise UsageError(message)


def part_of(manifest: RunManifest, split: PublishedSplit) -> str:
    """Say what part of a split a run has; empty if it has all of it."""
    if len(manifest.instances) == split.instances:
        return ""
    chosen = [name for name in _CHOICES if manifest.config.get(name)]
    by = f", chosen by {', '.join(chosen)}" if chosen else ""
    return f"{len(manifest.instances)} of the {split.instances} instances of {split.dataset} ({split.split}){by}"
