"""Exports a run as a log of inspect_ai (`.eval`), which `inspect view` shows and inspect_ai's readers read."""

from __future__ import annotations

import io
import math
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swerl_eval.core.errors import UsageError
from swerl_eval.core.metrics import wilson
from swerl_eval.core.types import Verdict
from swerl_eval.records.atomic import write_bytes
from swerl_eval.records.journal import records_by_instance
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.exports.destination import reserve_folder
from swerl_eval.reports.exports.inspect_samples import OFFICIAL, STRICT, sample_of, without_verdict
from swerl_eval.reports.exports.inspect_spec import Span, log_name, plan_of, spans_of, spec_of
from swerl_eval.reports.summary import Report, build_report

if TYPE_CHECKING:
    from inspect_ai.log import EvalError, EvalLog, EvalResults, EvalSample, EvalScore, EvalStats, EvalStatus
    from inspect_ai.model import ModelUsage

INSTALL = "pip install 'swerl-eval[inspect]'"
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class InspectExporter:
    """`swerl-eval export RUN --to inspect` (a `ports.Exporter`)."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write one `.eval` file below `destination`, which then is a folder for `inspect view --log-dir`."""
        try:
            import inspect_ai.log  # noqa: F401 - is it there? said before anything is written
        except ImportError as error:
            message = f"--to inspect needs the package inspect-ai ({error}); {INSTALL}"
            raise UsageError(message) from error
        opened = Run(run)
        target = destination / log_name(opened)
        reserve_folder(destination, opened, [target.name])
        write_bytes(target, log_bytes(eval_log(opened)))
        return [target]


def eval_log(run: Run) -> EvalLog:
    """The log: one sample for each instance, and the run's figures as its results."""
    from inspect_ai.log import EvalLog

    report = build_report(run)
    spans = spans_of(run)
    samples = list(_samples(run, report, spans))
    status, error = _end(run, report)
    return EvalLog(
        status=status,
        eval=spec_of(run, report),
        plan=plan_of(run),
        results=_results(report, samples),
        stats=_stats(run, samples, spans),
        error=error,
        samples=samples,
    )


def log_bytes(log: EvalLog) -> bytes:
    """The file that inspect_ai writes of a log, with one date for all parts, so that equal logs are equal files."""
    from inspect_ai.log import write_eval_log

    copy = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "log.eval"
        write_eval_log(log, file)
        with zipfile.ZipFile(file) as written, zipfile.ZipFile(copy, "w") as dated:
            for part in written.infolist():
                entry = zipfile.ZipInfo(part.filename, _ZIP_TIME)
                entry.compress_type = part.compress_type
                dated.writestr(entry, written.read(part))
    return copy.getvalue()


def _samples(run: Run, report: Report, spans: Mapping[str, Span]) -> Iterator[EvalSample]:
    candidates, answers = records_by_instance(run.candidates), records_by_instance(run.samples)
    for row in report["instances"]:
        name = row["instance_id"]
        sample = sample_of(run, row, candidates(name), answers(name))
        if span := spans.get(name):
            (sample.started_at, sample.completed_at), sample.total_time = span.times, span.last - span.first
        yield sample


def _end(run: Run, report: Report) -> tuple[EvalStatus, EvalError | None]:
    """How the run ended: `error` where the machine failed, `cancelled` where the run was not carried to its end."""
    from inspect_ai.log import EvalError

    if report["complete"]:
        return "success", None
    rows = [row for row in report["instances"] if row["instance_id"] not in report["without_prediction"]]
    broken = [row for row in rows if Verdict.INFRA_ERROR.value in {row["verdict"], row.get("strict")}]
    missing = [row for row in rows if row["verdict"] == Verdict.MISSING.value]
    failed = [row for row in missing if row["instance_id"] in run.failures]
    unchecked = [row for row in rows if _lacks_strict(row)] if report["strict"] else []
    counts = {
        "the machine failed": len(broken),
        "work on the instance failed": len(failed),
        "not evaluated yet": len(missing) - len(failed),
        "no strict verdict yet": len(unchecked),
    }
    those = "; ".join(f"{what}: {count}" for what, count in counts.items() if count)
    message = (
        f"The run is not complete. Of {report['total']} instances, {those}. An instance without a verdict counts as "
        "not solved. A resume of the run does what is left."
    )
    details = "\n".join(f"{row['instance_id']}: {words}" for row in rows if (words := without_verdict(run, row)))
    error = EvalError(message=message, traceback=details, traceback_ansi=details)
    return "error" if broken or failed else "cancelled", error


def _lacks_strict(row: Mapping[str, Any]) -> bool:
    evaluated = row["verdict"] not in {Verdict.INFRA_ERROR.value, Verdict.MISSING.value}
    return evaluated and row.get("strict") is None


def _results(report: Report, samples: Sequence[EvalSample]) -> EvalResults:
    from inspect_ai.log import EvalResults

    resolved = {OFFICIAL: report["resolved"], **({STRICT: report["strict"]["resolved"]} if report["strict"] else {})}
    scored = Counter(name for sample in samples for name in sample.scores or ())
    return EvalResults(
        total_samples=report["total"],
        completed_samples=sum(sample.error is None for sample in samples),
        scores=[_score(name, count, report["total"], scored[name]) for name, count in resolved.items()],
        metadata={"clustered_by_repository": report["clustered"]} if report["clustered"] else None,
    )


def _score(name: str, resolved: int, total: int, scored: int) -> EvalScore:
    """A score with its metrics. The denominator is all chosen instances, also those without a score."""
    from inspect_ai.log import EvalMetric, EvalScore

    rate, (low, high) = resolved / total if total else 0.0, wilson(resolved, total)
    values = {
        "accuracy": rate,
        # as inspect_ai's own metric has it: from the variance of the sample
        "stderr": math.sqrt(rate * (1 - rate) / (total - 1)) if total > 1 else 0.0,
        "low_95": low,
        "high_95": high,
    }
    return EvalScore(
        name=name,
        scorer=name,
        scored_samples=scored,
        unscored_samples=total - scored,
        metrics={key: EvalMetric(name=key, value=value) for key, value in values.items()},
        metadata={"resolved": resolved, "denominator": total},
    )


def _stats(run: Run, samples: Sequence[EvalSample], spans: Mapping[str, Span]) -> EvalStats:
    from inspect_ai.log import EvalStats

    whole: Span | None = None
    for span in spans.values():
        whole = span | whole
    # the page of a log without times shows a duration that is no number
    first, last = whole.times if whole else (run.manifest.created_at, run.manifest.created_at)

    usage: dict[str, ModelUsage] = {}
    for sample in samples:
        for model, used in sample.model_usage.items():
            usage[model] = usage[model] + used if model in usage else used
    return EvalStats(started_at=first, completed_at=last, model_usage=usage)
