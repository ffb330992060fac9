"""The run's own report: from the records of a run folder to one document (`report.json`).

The same records always give the same document: no times, no order of arrival.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from swerl_eval.core.metrics import auc, localization_recall, wilson
from swerl_eval.core.types import Evaluation, Verdict
from swerl_eval.records.run_folder import Run
from swerl_eval.reports import test_figures
from swerl_eval.reports.quarantine import Quarantine
from swerl_eval.reports.reward_figures import summarize
from swerl_eval.reports.run_environment import circumstances

Report = dict[str, Any]
MOST_REASONS = 5
"""Different reasons of answers that never came, the most frequent ones."""


def build_report(run: Run, failures: Mapping[str, str] | None = None, quarantine: Quarantine | None = None) -> Report:
    """The report of a run, finished or not.

    `failures` are instances that could not be worked on, with the reason. `quarantine` adds a second denominator.
    """
    evaluations = {name: run.evaluation_of(name) for name in run.manifest.instance_ids}
    without_prediction = run.manifest.without_prediction
    awaited = [found for name, found in evaluations.items() if name not in without_prediction]
    answers = _read_answers(run)
    verdicts = Counter(_verdict(evaluation).value for evaluation in evaluations.values())
    strict = run.manifest.config.get("strict", "off") == "on"
    left_out = {} if quarantine is None else quarantine.reasons
    votes = test_figures.plain_vote(run) if len(run.evidence) else {}
    return {
        "schema_version": 1,
        "run_id": run.manifest.run_id,
        "model": run.manifest.model_name,
        "recorded": run.manifest.recorded,
        "dataset": run.manifest.config["dataset"],
        "dataset_fingerprint": run.manifest.dataset_fingerprint,
        "versions": run.manifest.versions,
        **circumstances(run),
        **_rates(evaluations, strict=strict),
        "without_quarantined": _without(evaluations, quarantine, strict=strict) if quarantine else None,
        "suspicious": sum(bool(found and found.suspicious) for found in evaluations.values()),
        "verdicts": {verdict.value: verdicts[verdict.value] for verdict in Verdict},
        "submitted": sum(name in run.selections for name in evaluations),
        "without_prediction": list(without_prediction),
        "complete": all(found is not None and found.settled(strict=strict) for found in awaited),
        "localization": _localization(run, evaluations),
        "sampling": _sampling(run, answers),
        "failed_answers": _failed_answers(answers),
        "rewards": _rewards(run, evaluations),
        "testing": test_figures.figures(run),
        "instances": [
            _row(run, name, evaluations[name], (failures or {}).get(name))
            | _strict(evaluations[name])
            | _vote(votes.get(name))
            | ({"quarantined": left_out[name]} if name in left_out else {})
            for name in sorted(evaluations)
        ],
    }


def _rates(evaluations: Mapping[str, Evaluation | None], *, strict: bool) -> Report:
    """The official solve rate with its interval, and the strict one beside it, None where it was not asked for."""
    found = [evaluation for evaluation in evaluations.values() if evaluation is not None]
    total, resolved = len(evaluations), sum(evaluation.resolved for evaluation in found)
    strictly = sum(evaluation.strict is Verdict.RESOLVED for evaluation in found)
    rates: Report = {
        "total": total,
        "resolved": resolved,
        "solve_rate": resolved / total if total else 0.0,
        "interval_95": list(wilson(resolved, total)),
    }
    asked = {"resolved": strictly, "solve_rate": strictly / total if total else 0.0}
    return rates | {"strict": asked if strict else None}


def _without(evaluations: Mapping[str, Evaluation | None], quarantine: Quarantine, *, strict: bool) -> Report:
    """The same without the instances in quarantine, which are named."""
    left = {name: evaluation for name, evaluation in evaluations.items() if name not in quarantine.reasons}
    named = sorted(set(evaluations) - set(left))
    return {"file": quarantine.name, "quarantined": named, **_rates(left, strict=strict)}


def _strict(evaluation: Evaluation | None) -> Report:
    """The strict verdict, and what is suspicious."""
    if evaluation is None:
        return {}
    row: Report = {"strict": evaluation.strict.value if evaluation.strict else None}
    if evaluation.strict_reason:
        row["strict_reason"] = evaluation.strict_reason
    if evaluation.suspicious:
        row["suspicious"] = list(evaluation.suspicious)
    return row


def _verdict(evaluation: Evaluation | None) -> Verdict:
    return Verdict.MISSING if evaluation is None else evaluation.verdict


def _localization(run: Run, evaluations: Mapping[str, Evaluation | None]) -> Report | None:
    """Recall against the gold files of the instances that were evaluated."""
    lists = {record.instance_id: record.file_lists for record in run.localizations.values()}
    gold = {name: evaluation.gold_files for name, evaluation in evaluations.items() if evaluation is not None}
    recall = localization_recall(lists, gold)
    if recall is None:
        return None
    origins = sorted({record.origin for record in run.localizations.values()})
    return {"origin": ", ".join(origins), **asdict(recall)}


_COUNTS = {"cut_at_max_tokens": 0, "prompt_tokens": 0, "completion_tokens": 0}


@dataclass
class _Answers:
    """What the answers of all stages add up to, from one pass over them: they may be gigabytes."""

    counts: Counter[str] = field(default_factory=lambda: Counter(_COUNTS))
    refused: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """By what the sampler or the server said."""


def _read_answers(run: Run) -> _Answers:
    found = _Answers()
    for sample in run.samples.values():
        completion = sample.completion
        found.counts["cut_at_max_tokens"] += completion.finish_reason == "length"
        found.counts["prompt_tokens"] += completion.prompt_tokens or 0
        found.counts["completion_tokens"] += completion.completion_tokens or 0
        found.refused += completion.refused
        if completion.error:
            found.failures[completion.error] += 1
    return found


def _failed_answers(answers: _Answers) -> Report | None:
    """Answers that never came, of all stages, with the most frequent reasons; None where there is none."""
    if not answers.failures:
        return None
    reasons = sorted(answers.failures.items(), key=lambda each: (-each[1], each[0]))[:MOST_REASONS]
    return {"count": answers.failures.total(), "refused": answers.refused, "reasons": dict(reasons)}


def _sampling(run: Run, answers: _Answers) -> Report | None:
    """The funnel from samples to candidates, and the tokens it took; None for predictions that were handed in."""
    if not len(run.candidates):
        return None
    rejections: Counter[str] = Counter()
    valid = instances_with_candidate = unique = 0
    forms: dict[str, set[str]] = {}
    for candidate in run.candidates.values():
        if candidate.rejection is None:
            valid += 1
            forms.setdefault(candidate.instance_id, set()).add(candidate.normal_form)
        else:
            rejections[candidate.rejection.value] += 1
    instances_with_candidate = len(forms)
    unique = sum(map(len, forms.values()))
    return {
        "samples": len(run.candidates),
        "valid": valid,
        "unique": unique,
        "instances_with_candidate": instances_with_candidate,
        "rejections": dict(sorted(rejections.items())),
        **answers.counts,
    }


def _rewards(run: Run, evaluations: Mapping[str, Evaluation | None]) -> Report | None:
    """The SWE-RL reward of all samples, and how well it tells resolved from unresolved ones of those evaluated."""
    if not len(run.rewards):
        return None
    values = {(reward.instance_id, reward.index): reward.value for reward in run.rewards.values()}
    chosen: dict[bool, list[float]] = {True: [], False: []}
    for name, evaluation in evaluations.items():
        selection = run.selections.get(name)
        value = values.get((name, selection.index)) if selection and selection.index is not None else None
        if value is not None and evaluation is not None and evaluation.report is not None:
            chosen[evaluation.resolved].append(value)
    return {**summarize(values.values()), "resolved_auc": auc(chosen[True], chosen[False])}


def _vote(vote: Report | None) -> Report:
    """What the plain vote would have chosen, where tests did the choosing."""
    return {"plain_vote": vote} if vote is not None else {}


def _row(run: Run, name: str, evaluation: Evaluation | None, failure: str | None) -> Report:
    selection = run.selections.get(name)
    row: Report = {"instance_id": name, "verdict": _verdict(evaluation).value}
    if selection is not None:
        row |= {
            "sample": selection.index,
            "selection": selection.reason,
            "votes": selection.votes,
            "valid": selection.valid,
            "unique": selection.unique,
        }
        reward = run.rewards.get((name, selection.index))
        if reward is not None:
            row["reward"] = reward.value
    localization = run.localizations.get(name)
    if localization is not None:
        row["files"] = [list(files) for files in localization.file_lists]
    if evaluation is not None:
        row["gold_files"] = list(evaluation.gold_files)
        row["image_id"] = evaluation.image_id
        tests = (evaluation.report or {}).get("tests_status")
        if tests:
            row["tests"] = {
                kind: f"{len(tests[kind]['success'])}/{len(tests[kind]['success']) + len(tests[kind]['failure'])}"
                for kind in ("FAIL_TO_PASS", "PASS_TO_PASS")
            }
    said = (evaluation.reason, evaluation.remark) if evaluation else ()
    reason = failure or "; ".join(filter(None, said))
    if selection is not None and not selection.patch:
        reason = selection.reason
    if reason:
        row["reason"] = reason
    return row
