"""What the page of one run shows while the run goes on: all in words, so that its script only puts it in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swerl_eval.cli.display import STAGE_WORDS, clock
from swerl_eval.cli.view.run_list import FINISHED, INCOMPLETE, RUNNING, STOPPED, RunSummary
from swerl_eval.progress import asks_a_model
from swerl_eval.records.live_status import LiveStatus
from swerl_eval.records.verdict_tally import InstanceVerdict

STATE_WORDS = {
    RUNNING: "The run goes on.",
    STOPPED: "The run was stopped before its end: its process is gone. The same command goes on with it.",
    FINISHED: "The run is finished.",
    INCOMPLETE: "No process works on this run, and it is not complete. The same command goes on with it.",
    "": "The run cannot be read.",
}


def live_data(run: RunSummary, status: LiveStatus | None, verdicts: Mapping[str, InstanceVerdict]) -> dict[str, Any]:
    """Return the present state of a run as plain data.

    Args:
        run: The run.
        status: What its process does; None where there is none.
        verdicts: Its verdicts by instance, in the order in which they came.
    """
    return {
        "state": run.state,
        "explanation": run.error or STATE_WORDS[run.state],
        "figures": [] if status is None else _figures(status),
        "stages": []
        if status is None
        else [[STAGE_WORDS.get(stage.name, stage.name), stage.done, status.total] for stage in status.stages],
        "waits": [] if status is None else list(status.waits),
        "notices": [] if status is None else list(reversed(status.notices)),
        "verdicts": f"{len(verdicts)} of {run.total} instances have a verdict, {_resolved(verdicts)} are resolved.",
        "instances": [[name, each.official, each.strict or ""] for name, each in reversed([*verdicts.items()])],
    }


def _resolved(verdicts: Mapping[str, InstanceVerdict]) -> int:
    return sum(each.official == "resolved" for each in verdicts.values())


def _figures(status: LiveStatus) -> list[list[str]]:
    remaining = status.remaining_seconds
    figures = [
        ["Time", clock(status.seconds)],
        ["Left, about", clock(remaining) if remaining else "not known yet"],
        ["Containers", f"{status.containers:,}"],
    ]
    if asks_a_model(stage.name for stage in status.stages):
        figures += [
            ["Requests in flight", f"{status.requests:,}"],
            ["Answers", f"{status.samples:,}"],
            ["Output tokens", f"{status.tokens:,} ({status.tokens_per_second:,.0f}/s)"],
        ]
    return figures
