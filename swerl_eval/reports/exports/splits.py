"""Finds the public split that a run's instances are, whole and with nothing beside it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from swerl_eval.core.hub_names import split_revision
from swerl_eval.records.manifest import RunManifest


@dataclass(frozen=True)
class Split:
    """A public split, as the leaderboard's folders are called."""

    name: str
    dataset: str
    """On the hub."""
    aliases: tuple[str, ...]
    """Names that it is also loaded by, in lower case."""
    size: int
    ids_sha256: str = ""
    """Digest of the sorted instance ids, one a line without a last line end; empty where only the size is known."""


SPLITS = (
    Split(
        "verified",
        "SWE-bench/SWE-bench_Verified",
        ("verified", "princeton-nlp/swe-bench_verified"),
        500,
        "fad0fdea4fc2315e9b78cdf80882a32e32393297052e502e0e63c79ad648fb85",
    ),
    Split(
        "lite",
        "SWE-bench/SWE-bench_Lite",
        ("lite", "princeton-nlp/swe-bench_lite"),
        300,
        "3cc742abe707ad233b5a1664f339376890c467a29f3bf33afb36314308d647db",
    ),
    Split("test", "SWE-bench/SWE-bench", ("full", "princeton-nlp/swe-bench"), 2294),
    Split("multilingual", "SWE-bench/SWE-bench_Multilingual", ("multilingual",), 300),
)
"""The splits whose submissions have predictions and logs. Multimodal is not among them: sb-cli alone grades it."""


def public_split(manifest: RunManifest) -> Split | None:
    """Return the public split whose instances are exactly those of the run; None where there is none.

    A split with a known digest is recognised by its instances, whatever the dataset is called. Others are recognised by
    the dataset's name and the number of instances.
    """
    names = sorted(manifest.instances)
    digest = hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()
    for split in SPLITS:
        if digest == split.ids_sha256:
            return split
    named = named_split(manifest)
    return named if named and not named.ids_sha256 and named.size == len(names) else None


def named_split(manifest: RunManifest) -> Split | None:
    """Return the public split that the run's dataset is named after, whatever instances were chosen of it."""
    dataset = split_revision(str(manifest.config.get("dataset", "")))[0].lower()
    if manifest.config.get("split", "test") != "test":
        return None
    return next((split for split in SPLITS if dataset in {split.dataset.lower(), *split.aliases}), None)
