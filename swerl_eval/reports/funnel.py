"""The funnel: how many instances get through each step of the method, and why the others do not.

An instance is counted at a step if it passes that step and all before. Each instance that is lost has one reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from swerl_eval.core.types import MADE, Evaluation, Evidence, Outcome, Rejection, Verdict
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.candidate_counts import WRONG_FORMAT, CandidateCounts

REASON_CHARACTERS = 100
"""Characters of a reason, at most: error messages group only where they are short."""


@dataclass(frozen=True)
class _Step:
    name: str
    loss: Callable[[str], str]
    """Why an instance does not pass; empty if it does."""
    by_tests: bool = False
    exempt: Callable[[str], bool] = lambda _: False
    """Whether an instance passes since there is nothing to ask of it."""
    note: str = ""
    """What is said of the exempt instances, after their number."""


def funnel(
    run: Run, evaluations: Mapping[str, Evaluation | None], candidates: Mapping[str, CandidateCounts]
) -> list[dict[str, Any]]:
    """The steps of a run, from `chosen` to `resolved`; a step that did not take place is left out.

    Args:
        run: The run folder.
        evaluations: The verdict of each chosen instance; None where there is none.
        candidates: What the repair samples of each instance come to.

    Returns:
        For each step its name, the number of `instances`, how many are `lost` since the step before, their `reasons`
        (most frequent first), and a `note`. The last step counts every resolved instance, also those that a step before
        had dropped; its note tells how many these are.
    """
    records = _Records(run, evaluations, candidates)
    remaining = list(evaluations)
    rows = [_row("chosen", len(remaining), Counter())]
    dropped_by_tests: set[str] = set()
    for step in _steps(records):
        reasons = {name: "" if step.exempt(name) else step.loss(name) for name in remaining}
        exempt = sum(map(step.exempt, remaining))
        remaining = [name for name in remaining if not reasons[name]]
        if step.by_tests:
            dropped_by_tests.update(name for name, reason in reasons.items() if reason)
        note = f"{exempt} {step.note}" if exempt else ""
        rows.append(_row(step.name, len(remaining), Counter(filter(None, reasons.values())), note))
    resolved = {name for name, evaluation in evaluations.items() if evaluation is not None and evaluation.resolved}
    lost = Counter(records.unresolved(name) for name in remaining if name not in resolved)
    by_tests = len(resolved & dropped_by_tests)
    others = len(resolved.difference(remaining, dropped_by_tests))
    notes = [f"{by_tests} of these although the tests spoke against them"] if by_tests else []
    notes += [f"{others} of these although the records say that they got lost before"] if others else []
    note = "; ".join(notes)
    rows.append(_row("resolved", len(resolved), lost, note))
    return rows


def _row(step: str, instances: int, reasons: Counter[str], note: str = "") -> dict[str, Any]:
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return {
        "step": step,
        "instances": instances,
        "lost": reasons.total(),
        "reasons": [{"reason": reason, "instances": count} for reason, count in ordered],
        "note": note,
    }


def _steps(records: _Records) -> list[_Step]:
    """The steps between `chosen` and `resolved` that took place."""
    run = records.run
    if run.manifest.patch_origin != MADE:
        return [_Step("handed in a patch", records.not_handed_in), _Step("applies", records.fails_to_apply)]
    steps = [_Step("localized", records.without_file)]
    if len(run.candidates):
        steps += [_Step("formatted", records.without_edit), _Step("applies", records.without_candidate)]
    if len(run.regressions):
        steps.append(
            _Step(
                "keeps the regression tests",
                records.breaks,
                True,
                lambda name: name not in records.with_regression_tests,
                "without a regression test",
            )
        )
    if len(run.reproductions):
        steps.append(
            _Step(
                "turns the reproduction tests",
                records.resolves_no_script,
                True,
                lambda name: name not in records.with_scripts,
                "without a usable reproduction test",
            )
        )
    return steps


class _Records:
    """The records of a run, and what each says of an instance at a step: a reason, or nothing."""

    def __init__(
        self, run: Run, evaluations: Mapping[str, Evaluation | None], candidates: Mapping[str, CandidateCounts]
    ) -> None:
        self.run = run
        self._evaluations = evaluations
        self._candidates = candidates
        self.with_regression_tests = {tests.instance_id for tests in run.regressions.values() if tests.passing}
        self.with_scripts = {test.instance_id for test in run.reproductions.values() if test.rank is not None}

    def _pending(self, name: str, words: str) -> str:
        """Why there is no record yet: the instance failed, or the run has not come to it."""
        failure = self.run.failures.get(name)
        return words if failure is None else _short(f"failed: {failure.reason}")

    def without_file(self, name: str) -> str:
        """Why no list has a file."""
        localization = self.run.localizations.get(name)
        if localization is None:
            return self._pending(name, "not localized yet")
        if any(localization.file_lists):
            return ""
        if localization.origin != "model":
            return "no file given"
        errors = self._localization_errors(name)
        if errors and all(errors):
            return _most_frequent(Counter(map(_short, errors)))
        return "only files that do not exist" if localization.ignored else "no file named"

    def _localization_errors(self, name: str) -> list[str]:
        samples = range(self.run.manifest.config.get("localization_samples", 1))
        answers = [self.run.samples.get((name, "localize", index)) for index in samples]
        return [answer.completion.error for answer in answers if answer is not None]

    def without_edit(self, name: str) -> str:
        """Why no answer holds a whole edit."""
        counts = self._candidates.get(name)
        if counts is None:
            return self._pending(name, "not sampled yet")
        if counts.formatted:
            return ""
        reasons = Counter({kind.value: counts.rejections[kind] for kind in WRONG_FORMAT})
        for error, count in counts.errors.items():
            reasons[_short(error) or Rejection.SAMPLE_FAILED.value] += count
        return _most_frequent(reasons)

    def without_candidate(self, name: str) -> str:
        """Why no edit gives a patch."""
        counts = self._candidates[name]
        unusable = counts.rejections.keys() - WRONG_FORMAT - {Rejection.SAMPLE_FAILED}
        return "" if counts.valid else _most_frequent(Counter({k.value: counts.rejections[k] for k in unusable}))

    def _evidence(self, name: str) -> Evidence | str:
        """What the tests say of the chosen patch, or why they say nothing."""
        selection = self.run.selections.get(name)
        if selection is None:
            return self._pending(name, "not chosen yet")
        candidate = self.run.candidates.get((name, selection.index))
        evidence = None if candidate is None else self.run.evidence.get((name, candidate.normal_form))
        if evidence is None:
            return "tests not run"
        if evidence.error and not evidence.outcomes:
            return _short(f"tests not run: {evidence.error}")
        return evidence

    def breaks(self, name: str) -> str:
        """How many regression tests the chosen patch breaks."""
        evidence = self._evidence(name)
        if isinstance(evidence, str):
            return evidence
        count = len(evidence.broken)
        if not count:
            return ""
        return "breaks 1 test" if count == 1 else f"breaks {'2 to 9' if count < 10 else '10 or more'} tests"

    def resolves_no_script(self, name: str) -> str:
        """The most frequent outcome of the reproduction tests where none is `resolved`."""
        evidence = self._evidence(name)
        if isinstance(evidence, str):
            return evidence
        if Outcome.RESOLVED in evidence.outcomes:
            return ""
        return _most_frequent(Counter(outcome.value for outcome in evidence.outcomes)) or Outcome.NOT_RUN.value

    def not_handed_in(self, name: str) -> str:
        """Why there is no patch of the user."""
        if name in self.run.manifest.without_prediction:
            return "no prediction"
        selection = self.run.selections.get(name)
        return Verdict.EMPTY_PATCH.value if selection is not None and not selection.patch else ""

    def fails_to_apply(self, name: str) -> str:
        """Why the official ladder did not apply a handed-in patch."""
        evaluation = self._evaluations[name]
        if evaluation is None:
            return self._pending(name, Verdict.MISSING.value)
        failed = evaluation.verdict in {Verdict.PATCH_FAILED, Verdict.INFRA_ERROR}
        return evaluation.verdict.value if failed else ""

    def unresolved(self, name: str) -> str:
        """The verdict on the chosen patch."""
        evaluation = self._evaluations[name]
        return self._pending(name, Verdict.MISSING.value) if evaluation is None else evaluation.verdict.value


def _most_frequent(reasons: Counter[str]) -> str:
    """The most frequent reason; of equally frequent ones the first by name."""
    return min(reasons, key=lambda reason: (-reasons[reason], reason), default="")


def _short(text: str) -> str:
    """The first line, shortened."""
    line = text.strip().partition("\n")[0].rstrip()
    return line if len(line) <= REASON_CHARACTERS else line[: REASON_CHARACTERS - 1] + "…"
