"""What a score was measured with, as exports carry it: without it, a score cannot be repeated or compared."""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import Any

import orjson

from swerl_eval.core.hub_names import split_revision
from swerl_eval.records.manifest import RunManifest
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.run_environment import run_environment


def dataset_name(manifest: RunManifest) -> str:
    """Return the dataset's name: of a file or folder the last part alone, since paths are this machine's business."""
    dataset = str(manifest.config.get("dataset", ""))
    is_path = (
        PurePath(dataset).is_absolute() or dataset.startswith((".", "~")) or split_revision(dataset)[0].count("/") > 1
    )
    return PurePath(dataset).name if is_path else dataset


def pins(run: Run) -> dict[str, Any]:
    """Return dataset, harness, limits and images of a run's verdicts, and the number of its instances.

    Dataset and harness are those of the latest grading, as in comparisons.
    """
    manifest = run.manifest
    regrade = run.regrades.get(None)
    evaluations = filter(None, map(run.evaluation_of, manifest.instance_ids))
    digests = sorted({evaluation.image_id for evaluation in evaluations if evaluation.image_id})
    swebench = regrade.swebench if regrade else manifest.versions.get("swebench")
    return {
        "dataset": dataset_name(manifest),
        "dataset_sha256": regrade.dataset_fingerprint if regrade else manifest.dataset_fingerprint,
        "split": manifest.config.get("split"),
        "harness": f"swebench {swebench}" if swebench else None,
        "denominator": len(manifest.instances),
        "limits": run_environment(run)["limits"],
        "image_count": len(digests),
        "images_sha256": digest_of(digests) if digests else None,
    }


def digest_of(content: Any) -> str:
    """Return the SHA-256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
