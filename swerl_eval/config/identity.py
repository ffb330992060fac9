"""What makes two runs the same run: the settings that a result depends on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swerl_eval.core.hub_names import split_revision
from swerl_eval.core.secrets import redacted

SPEED_ONLY = frozenset(
    {
        "workers", "requests", "results", "run_id", "cache", "base_url", "repositories", "submission", "disk", "reuse",
        "quarantine", "launch", "servers", "launch_timeout", "requests_per_server", "tracker", "tracking",
        "ray_address",
    }
)  # fmt: skip
"""Settings that decide where and how fast a run works, not what comes out."""
_TEST_RECORDS = ("reproductions", "regressions", "evidence")
BOUND_BY: dict[str, tuple[str, ...]] = {
    # the first two only add verdicts to a run, the third only adds figures to its report
    "evaluate": (),
    "strict": (),
    "prices": (),
    **dict.fromkeys(("timeout", "memory", "cpus", "pids", "network", "written"), (*_TEST_RECORDS, "evaluations")),
    **dict.fromkeys(("script_timeout", "regression_files", "regression_seconds"), _TEST_RECORDS),
}
"""Settings that a resume may change as long as the run has no records of these kinds."""
ENGINE_SPEED_ONLY = frozenset(
    {
        "block_size", "cpu_offload_gb", "data_parallel_size", "disable_log_stats", "distributed_executor_backend",
        "enable_prefix_caching", "enforce_eager", "gpu_memory_utilization", "kv_cache_memory_bytes",
        "max_num_batched_tokens", "max_num_seqs", "pipeline_parallel_size", "restarts", "scheduling_policy",
        "stream_interval", "tensor_parallel_size",
    }
)  # fmt: skip
"""Keys of `engine` that only decide speed: a run that ran out of GPU memory is resumed with less, or on more GPUs."""
STORED_AS_WORDS = {"regression": {False: "off", True: "on"}}
"""Booleans that an identity spells as older versions did, so that runs made by them keep their names and resume."""
SAME_SANDBOX = {"ray": "docker"}
"""Sandboxes that run the same containers as another one, on more machines: a run may go on with either."""
STEM_CHARACTERS = 75
"""Longest readable part of a default run id: run ids become part of file names."""
REVISION_CHARACTERS = 12
"""Characters of a dataset's revision in that part."""


def identity_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a result depends on, as a run folder stores them.

    Secrets are left out: another key for the same server is no other run.
    """
    excluded = SPEED_ONLY | {key for key, records in BOUND_BY.items() if not records}
    identity = {key: value for key, value in settings.items() if key not in excluded}
    identity["engine"] = {key: value for key, value in identity["engine"].items() if key not in ENGINE_SPEED_ONLY}
    identity |= {key: words[identity[key]] for key, words in STORED_AS_WORDS.items()}
    identity["sandbox"] = SAME_SANDBOX.get(identity["sandbox"], identity["sandbox"])
    return {key: redacted(value) for key, value in identity.items()}


def run_id_of(model_name: str, dataset: str, identity: Mapping[str, Any]) -> str:
    """`<model>-<dataset>-<hash>`: readable, a plain folder name, and another one for another identity."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    name, revision = split_revision(dataset)
    stem = "-".join(Path(part.rstrip("/")).name for part in (model_name, name))
    stem += f"-{revision[:REVISION_CHARACTERS]}" if revision else ""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', stem)[:STEM_CHARACTERS].strip('-.')}-{digest}"
