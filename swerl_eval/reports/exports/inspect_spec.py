"""Describes a run for inspect_ai's log: what was run, what it was measured with, and what is claimed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from swerl_eval.core.hub_names import split_revision
from swerl_eval.core.types import MADE
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.exports.claims import why_grading_only
from swerl_eval.reports.summary import Report

if TYPE_CHECKING:
    from inspect_ai.log import EvalPlan, EvalSpec

_GENERATION = ("temperature", "top_p", "max_tokens", "seed")
_METHOD = ("samples", "localization", "localization_samples", "max_files", "tests", "test_samples", "regression")
_NOTE = "A sample's input is the text of its issue. The model's prompt also held instructions and the chosen files."


def log_name(run: Run) -> str:
    """The name of the log, made as inspect_ai makes it: its readers take time, task and id from the name."""
    created, task = (
        "".join(c if c.isascii() and c.isalnum() else "-" for c in text)
        for text in (run.manifest.created_at, _task(run))
    )
    return f"{created}_{task}_{stable_id(run)}.eval"


def stable_id(run: Run, *parts: str) -> str:
    """An id of the length that inspect_ai's have. It follows from the run and from `parts` alone."""
    named = "\0".join([run.manifest.run_id, run.manifest.created_at, *parts])
    return hashlib.sha256(named.encode()).hexdigest()[:22]


def spec_of(run: Run, report: Report) -> EvalSpec:
    """The head of the log."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalSpec
    from inspect_ai.model import GenerateConfig

    manifest, config = run.manifest, run.manifest.config
    claimed = not why_grading_only(manifest)
    return EvalSpec(
        eval_id=stable_id(run, "eval"),
        run_id=manifest.run_id,
        created=manifest.created_at,
        task=_task(run),
        task_id=stable_id(run),
        task_args={"dataset": config["dataset"], "split": config.get("split")},
        dataset=EvalDataset(
            name=config["dataset"], samples=len(manifest.instances), sample_ids=sorted(manifest.instances)
        ),
        model=manifest.model_name,
        model_generate_config=GenerateConfig(**_settings(run, _GENERATION)) if claimed else GenerateConfig(),
        config=EvalConfig(epochs=1, limit=config.get("limit"), fail_on_error=False),
        packages=manifest.versions,
        tags=_tags(run),
        metadata=_pins(run, report),
    )


def plan_of(run: Run) -> EvalPlan:
    """The method with its settings; no step where this run does not claim it."""
    from inspect_ai.log import EvalPlan, EvalPlanStep

    if why_grading_only(run.manifest):
        return EvalPlan()
    return EvalPlan(steps=[EvalPlanStep(solver="swerl-eval (Agentless Mini)", params=_settings(run, _METHOD))])


@dataclass(frozen=True)
class Span:
    """From a first event to a last one, in seconds since the epoch."""

    first: float
    last: float

    @property
    def times(self) -> tuple[str, str]:
        """Both in the form that inspect_ai has."""
        first, last = (
            datetime.fromtimestamp(time, timezone.utc).isoformat(timespec="seconds") for time in (self.first, self.last)
        )
        return first, last

    def __or__(self, other: Span | None) -> Span:
        """From the earlier first event to the later last one."""
        return self if other is None else Span(min(self.first, other.first), max(self.last, other.last))


def spans_of(run: Run) -> dict[str, Span]:
    """When each instance was worked on, by the run's timeline; a line that cannot be read is left out."""
    spans: dict[str, Span] = {}
    with suppress(FileNotFoundError), (run.folder / "events.jsonl").open("rb") as lines:
        for line in lines:
            with suppress(ValueError, KeyError, TypeError, OverflowError, OSError):
                event = orjson.loads(line)
                span = Span(float(event["time"]), float(event["time"]))
                spans[event["instance_id"]] = span | spans.get(event["instance_id"])
    return spans


def _task(run: Run) -> str:
    """The dataset's own name, such as `SWE-bench_Verified` of `SWE-bench/SWE-bench_Verified@main`."""
    return Path(split_revision(str(run.manifest.config["dataset"]))[0]).name or "swe-bench"


def _settings(run: Run, names: Sequence[str]) -> dict[str, Any]:
    return {name: run.manifest.config[name] for name in names if run.manifest.config.get(name) is not None}


def _tags(run: Run) -> list[str]:
    """What a list of logs has to say where this run did not make the patches."""
    if not why_grading_only(run.manifest):
        return []
    origin = run.manifest.patch_origin
    return ["grading only", "recorded answers" if origin == MADE else f"{origin} patches"]


def _pins(run: Run, report: Report) -> dict[str, Any]:
    """What the solve rate was measured with."""
    unknown = why_grading_only(run.manifest)
    pins = {
        "warning": f"graded by swerl-eval alone: {unknown}" if unknown else None,
        "recorded": run.manifest.recorded,
        "patches": run.manifest.patch_origin,
        "input": _NOTE,
        "denominator": report["total"],
        "verdicts": {verdict: count for verdict, count in report["verdicts"].items() if count},
        "without_prediction": report["without_prediction"],
        "dataset_sha256": run.manifest.dataset_fingerprint,
        "limits": report["limits"],
        "environment": report["environment"],
        "machines": report["machines"],
        "regraded": report["regraded"],
        "prompts_sha256": run.manifest.prompts,
    }
    return {name: value for name, value in pins.items() if value not in (None, [], {})}
