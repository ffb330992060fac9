"""What a run's verdicts were made with: machines, container limits, fixed environment, later gradings."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from swerl_eval.core.jobs.scripts import environment
from swerl_eval.core.types import Limits
from swerl_eval.records.run_folder import Run

LIMITS = ("memory", "cpus", "pids", "written", "network", "timeout")
"""Settings that limit a container."""


def run_environment(run: Run) -> dict[str, Any]:
    """`machines`, `limits`, `environment` and `regraded` of a report; the last is None if logs were graded once."""
    config = run.manifest.config
    limits = {name: config[name] for name in LIMITS if name in config}
    regrade = run.regrades.get(None)
    return {
        "machines": sorted((asdict(machine) for machine in run.machines.values()), key=repr),
        "limits": limits,
        "environment": dict(environment(Limits(cpus=config.get("cpus") or None))),
        "regraded": None if regrade is None else asdict(regrade),
    }
