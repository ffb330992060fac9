"""Builds the run's own report (`report.json`) from the records of a run folder.

The same records always give the same report: it has no times, and the order of records does not matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from swerl_eval.core.metrics import auc, clustered_rate, localization_recall, wilson
from swerl_eval.core.types import Evaluation, Verdict
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.candidate_counts import CandidateCounts, count_candidates
from swerl_eval.reports.funnel import funnel
from swerl_eval.reports.groups import columns_of, groups
from swerl_eval.reports.quarantine import Quarantine
from swerl_eval.reports.reward_figures import histogram, summarize
from swerl_eval.reports.run_environment import run_environment
from swerl_eval.reports.test_figures import plain_vote, summarize_tests

Report = dict[str, Any]
MOST_REASONS = 5
"""Reasons of failed answers that are named, at most: the most frequent ones."""


def build_report(run: Run, quarantine: Quarantine | None = None) -> Report:
    """The report of a run, finished or not.

    Args:
        run: The run folder.
        quarantine: Adds a second solve rate, without its instances.
    """
    evaluations = {name: run.evaluation_of(name) for name in run.manifest.instance_ids}
    without_prediction = run.manifest.without_prediction
    expected = [evaluation for name, evaluation in evaluations.items() if name not in without_prediction]
    answers, candidates = _read_answers(run), count_candidates(run)
    verdicts = Counter(_verdict(evaluation).value for evaluation in evaluations.values())
    strict = run.manifest.config.get("strict") in (True, "on")  # older runs stored it as on or off
    quarantined = {} if quarantine is None else quarantine.reasons
    votes = plain_vote(run) if len(run.evidence) else {}
    return {
        "schema_version": 1,
        "run_id": run.manifest.run_id,
        "model": run.manifest.model_name,
        "recorded": run.manifest.recorded,
        "dataset": run.manifest.config["dataset"],
        "dataset_fingerprint": run.manifest.dataset_fingerprint,
        "versions": run.manifest.versions,
        **run_environment(run),
        **_rates(evaluations, strict=strict),
        "clustered": _clustered(run, evaluations),
        "without_quarantined": _without_quarantined(evaluations, quarantine, strict=strict) if quarantine else None,
        "suspicious": sum(bool(evaluation and evaluation.suspicious) for evaluation in evaluations.values()),
        "verdicts": {verdict.value: verdicts[verdict.value] for verdict in Verdict},
        "submitted": sum(name in run.selections for name in evaluations),
        "without_prediction": list(without_prediction),
        "complete": all(evaluation is not None and evaluation.settled(strict=strict) for evaluation in expected),
        "funnel": funnel(run, evaluations, candidates),
        "groups": groups(run.manifest.instances, evaluations, strict=strict),
        "localization": _localization(run, evaluations),
        "sampling": _sampling(candidates, answers),
        "failed_answers": _failed_answers(answers),
        "rewards": _rewards(run, evaluations),
        "testing": summarize_tests(run),
        "instances": [
            _row(run, name, evaluations[name])
            | _strict(evaluations[name])
            | ({"plain_vote": votes[name]} if name in votes else {})
            | ({"quarantined": quarantined[name]} if name in quarantined else {})
            for name in sorted(evaluations)
        ],
    }


def _rates(evaluations: Mapping[str, Evaluation | None], *, strict: bool) -> Report:
    """The official solve rate with its interval, and the strict one; None if the run has no strict verdicts."""
    known = [evaluation for evaluation in evaluations.values() if evaluation is not None]
    total, resolved = len(evaluations), sum(evaluation.resolved for evaluation in known)
    strictly_resolved = sum(evaluation.strict is Verdict.RESOLVED for evaluation in known)
    strict_rate = {"resolved": strictly_resolved, "solve_rate": strictly_resolved / total if total else 0.0}
    return {
        "total": total,
        "resolved": resolved,
        "solve_rate": resolved / total if total else 0.0,
        "interval_95": list(wilson(resolved, total)),
        "strict": strict_rate if strict else None,
    }


def _clustered(run: Run, evaluations: Mapping[str, Evaluation | None]) -> Report | None:
    """The solve rate's uncertainty, clustered by repository; None with one repository."""
    repositories = {name: columns_of(name, run.manifest.instances[name])["repo"] for name in evaluations}
    outcomes = [(repositories[name], bool(known and known.resolved)) for name, known in evaluations.items()]
    clustered = clustered_rate(outcomes, run.manifest.config.get("seed", 0))
    if clustered is None:
        return None
    return {
        "repositories": clustered.clusters,
        "error": clustered.error,
        "interval_95": list(clustered.interval),
    }


def _without_quarantined(
    evaluations: Mapping[str, Evaluation | None], quarantine: Quarantine, *, strict: bool
) -> Report:
    """The rates without the instances in quarantine, which are named."""
    sound = {name: evaluation for name, evaluation in evaluations.items() if name not in quarantine.reasons}
    quarantined = sorted(set(evaluations) - set(sound))
    return {"file": quarantine.name, "quarantined": quarantined, **_rates(sound, strict=strict)}


def _strict(evaluation: Evaluation | None) -> Report:
    """The strict verdict with its reason, and what is suspicious about the patch."""
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
    """Recall of the gold files of the evaluated instances; None where there is nothing to compare."""
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
    """Sums over the answers of all stages, from one pass over them, because they may be gigabytes."""

    counts: Counter[str] = field(default_factory=lambda: Counter(_COUNTS))
    refused: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """The number of failed answers by their error."""


def _read_answers(run: Run) -> _Answers:
    answers = _Answers()
    for sample in run.samples.values():
        completion = sample.completion
        answers.counts["cut_at_max_tokens"] += completion.finish_reason == "length"
        answers.counts["prompt_tokens"] += completion.prompt_tokens or 0
        answers.counts["completion_tokens"] += completion.completion_tokens or 0
        answers.refused += completion.refused
        if completion.error:
            answers.failures[completion.error] += 1
    return answers


def _failed_answers(answers: _Answers) -> Report | None:
    """The number of failed answers of all stages, with the most frequent reasons; None where there are none."""
    if not answers.failures:
        return None
    reasons = sorted(answers.failures.items(), key=lambda item: (-item[1], item[0]))[:MOST_REASONS]
    return {"count": answers.failures.total(), "refused": answers.refused, "reasons": dict(reasons)}


def _sampling(candidates: Mapping[str, CandidateCounts], answers: _Answers) -> Report | None:
    """The counts from samples to unique candidates, and the tokens; None for predictions that were handed in."""
    if not candidates:
        return None
    counts = candidates.values()
    rejections: Counter[str] = Counter()
    for instance in counts:
        rejections.update({kind.value: count for kind, count in instance.rejections.items()})
    valid, answered = sum(instance.valid for instance in counts), sum(instance.answered for instance in counts)
    return {
        "samples": valid + rejections.total(),
        "valid": valid,
        "unique": sum(len(instance.forms) for instance in counts),
        "instances_with_candidate": sum(instance.valid > 0 for instance in counts),
        "rejections": dict(sorted(rejections.items())),
        "format_accuracy": sum(instance.formatted for instance in counts) / answered if answered else None,
        **answers.counts,
    }


def _rewards(run: Run, evaluations: Mapping[str, Evaluation | None]) -> Report | None:
    """The SWE-RL rewards of all samples, and those of the selected patches: how well they tell resolved ones (AUC)."""
    if not len(run.rewards):
        return None
    values = {(reward.instance_id, reward.index): reward.value for reward in run.rewards.values()}
    by_resolved: dict[bool, list[float]] = {True: [], False: []}
    for name, evaluation in evaluations.items():
        selection = run.selections.get(name)
        value = values.get((name, selection.index)) if selection and selection.index is not None else None
        if value is not None and evaluation is not None and evaluation.report is not None:
            by_resolved[evaluation.resolved].append(value)
    return {
        **summarize(values.values()),
        "resolved_auc": auc(by_resolved[True], by_resolved[False]),
        "chosen": {name: histogram(by_resolved[name == "resolved"]) for name in ("resolved", "unresolved")},
    }


def _row(run: Run, name: str, evaluation: Evaluation | None) -> Report:
    """What the records say about an instance."""
    selection = run.selections.get(name)
    row: Report = {"instance_id": name, "verdict": _verdict(evaluation).value}
    row |= columns_of(name, run.manifest.instances[name])
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
    row["files_hit"] = _files_hit(row.get("files", []), evaluation)
    if evaluation is not None:
        row["gold_files"] = list(evaluation.gold_files)
        row["image_id"] = evaluation.image_id
        tests = (evaluation.report or {}).get("tests_status")
        if tests:
            row["tests"] = {
                kind: f"{len(tests[kind]['success'])}/{len(tests[kind]['success']) + len(tests[kind]['failure'])}"
                for kind in ("FAIL_TO_PASS", "PASS_TO_PASS")
            }
    remarks = (evaluation.reason, evaluation.remark) if evaluation else ()
    failure = run.failures.get(name)
    reason = failure.reason if failure else "; ".join(filter(None, remarks))
    if selection is not None and not selection.patch:
        reason = selection.reason
    if reason:
        row["reason"] = reason
    return row


def _files_hit(lists: list[list[str]], evaluation: Evaluation | None) -> str | None:
    """Whether one list has all gold files, some list has some, or none has any; None where there are no such lists."""
    recall = localization_recall({"": lists}, {"": evaluation.gold_files if evaluation else ()}) if lists else None
    if recall is None:
        return None
    return "all" if recall.all_found else "some" if recall.any_found else "none"
