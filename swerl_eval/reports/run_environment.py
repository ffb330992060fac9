"""What a run's verdicts were made with: machines, images' limits, the fixed environment, later gradings."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from swerl_eval.core.jobs.scripts import environment
from swerl_eval.core.types import Limits
from swerl_eval.records.run_folder import Run

LIMITS = ("memory", "cpus", "pids", "written", "network", "timeout")
"""Settings of a container, as the configuration names them."""


def circumstances(run: Run) -> dict[str, Any]:
    """`machines`, `limits`, `environment` and `regraded` of a report; the last is None for a run as it was graded."""
    config = run.manifest.config
    limits = {name: config[name] for name in LIMITS if name in config}
    regrade = run.regrades.get(None)
    return {
        "machines": sorted((asdict(machine) for machine in run.machines.values()), key=lambda each: repr(each)),
        "limits": limits,
        "environment": dict(environment(Limits(cpus=config.get("cpus") or None))),
        "regraded": None if regrade is None else asdict(regrade),
    }
