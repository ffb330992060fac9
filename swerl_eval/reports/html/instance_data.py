"""The data of one instance, as the page's script shows it when the instance is opened.

Every part has a share of the room, so that a page keeps its size whatever a run holds. What does not fit is left out,
and the data says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from swerl_eval.core.answers.solution import split_thinking
from swerl_eval.core.types import Evaluation, Sample
from swerl_eval.records.log_files import TEST_OUTPUT
from swerl_eval.records.run_folder import Run
from swerl_eval.records.timeline import Span
from swerl_eval.reports.html import log_excerpts
from swerl_eval.reports.html.bounds import MOST_REMARK, all_sendable, middle_left_out, names, shortened
from swerl_eval.reports.html.candidates import InstanceCandidates, UniqueCandidate, sample_count
from swerl_eval.reports.html.diff_lines import MOST_LINES, Line, LineTable
from swerl_eval.reports.html.packing import packed_size, room_for_each

MOST_TEXT = 20_000
"""Characters of an issue, a thought or an answer, at most."""
MOST_FAILING = 20
"""Failing tests that are shown with their lines of the log, at most."""
MOST_NAMES = 200
"""Tests, files, scripts or stages of one list, at most."""
_SHARES = {
    "issue": 0.1,
    "answer": 0.15,
    "failing": 0.15,
    "gold": 0.1,
    "chosen": 0.1,
    "reproduction": 0.15,
    "lists": 0.1,
}
"""The share of an instance's room that a part may take. The candidates that are not chosen get what is left."""
FAIL_TO_PASS, PASS_TO_PASS = "FAIL_TO_PASS", "PASS_TO_PASS"


def instance_data(run: Run, row: dict[str, Any], timeline: Sequence[Span]) -> dict[str, Any]:
    """Return what the page shows of an instance, JSON-able and bounded.

    Args:
        run: The run folder.
        row: The instance's entry of the report.
        timeline: The stages of the instance.
    """
    return _Instance(run, row, timeline).data()


class _Instance:
    """The records of one instance, and the room for them."""

    def __init__(self, run: Run, row: dict[str, Any], timeline: Sequence[Span]) -> None:
        self._run = run
        self._row = row
        self._timeline = timeline
        self._name: str = row["instance_id"]
        self._room = room_for_each(len(run.manifest.instances))
        self._selection = run.selections.get(self._name)
        self._evaluation = run.evaluation_of(self._name)
        self._candidates = InstanceCandidates(run, self._name, self._selection)
        self._table = LineTable()

    def data(self) -> dict[str, Any]:
        """Return all parts."""
        failure = self._run.failures.get(self._name)
        data = {
            "id": self._name,
            **{key: self._row.get(key, "") for key in ("repo", "difficulty", "year")},
            "failure": failure.reason[:MOST_REMARK] if failure else "",
            "selection": self._selected(),
            "issue": self._issue(),
            "answer": self._answer(),
            "failing": self._failing(),
            **self._lists(self._limit("lists", self._lists, MOST_NAMES)),
            "gold": self._gold(),
            "reproduction": self._reproduction(),
        }
        return self._with_candidates(all_sendable(data))

    def _limit(self, part: str, make: Callable[[int], Any], most: int) -> int:
        """Lower the number that bounds a part until it fits into its share of the room."""
        room = self._room * _SHARES[part]
        while most > 1 and (size := packed_size(all_sendable(make(most)), room)) > room:
            most = max(1, int(most * min(0.9, room / size)))
        return most

    def _line_limit(self, part: str, texts: Sequence[str], add: Callable[[LineTable, str, int], object]) -> int:
        """Return how many lines of each text fit, where `add` adds a text to a table."""

        def lines(most: int) -> list[Line]:
            table = LineTable()
            for text in texts:
                add(table, text, most)
            return table.lines()

        longest = max((text.count("\n") + 1 for text in texts), default=1)
        return self._limit(part, lines, min(MOST_LINES, longest))

    # --- what was asked and answered

    def _issue(self) -> str | None:
        issue = self._run.issues.get(self._name)
        if issue is None:
            return None
        return shortened(issue.text, self._limit("issue", lambda most: shortened(issue.text, most), MOST_TEXT))

    def _answer(self) -> dict[str, Any] | None:
        """The answer that the patch was chosen from, else the first one."""
        index = self._selection.index if self._selection else None
        indices = range(sample_count(self._run)) if index is None else (index,)
        sample = next(self._run.samples.get_all((self._name, "repair", index) for index in indices), None)
        if sample is None:
            return None
        thinking = bool(self._run.manifest.config.get("thinking", True))
        most = self._limit("answer", lambda most: _answer(sample, most, thinking=thinking), MOST_TEXT)
        return _answer(sample, most, thinking=thinking)

    def _selected(self) -> dict[str, Any] | None:
        selection = self._selection
        if selection is None:
            return None
        return {
            "reason": selection.reason[:MOST_REMARK],
            "votes": selection.votes,
            "valid": selection.valid,
            "unique": selection.unique,
            "sample": selection.index,
        }

    def _gold(self) -> list[int] | None:
        gold = self._run.gold_patches.get(self._name)
        if gold is None:
            return None
        return self._table.diff(gold.patch, self._line_limit("gold", [gold.patch], LineTable.diff))

    # --- tests

    def _reproduction(self) -> list[dict[str, Any]]:
        """The scripts that are run on candidates."""
        keys = ((self._name, index) for index in range(int(self._run.manifest.config.get("test_samples", 0))))
        tests = [(test.rank, test) for test in self._run.reproductions.get_all(keys) if test.rank is not None]
        used = [test for _, test in sorted(tests, key=lambda test: test[0])[:MOST_NAMES]]
        most = self._line_limit("reproduction", [test.script for test in used], LineTable.script)
        return [
            {
                "rank": test.rank,
                "sample": test.index,
                "votes": test.votes,
                "outcome": test.outcome.value,
                "script": self._table.script(test.script, most),
            }
            for test in used
        ]

    def _failing(self) -> list[dict[str, Any]]:
        """The failing tests, with the lines of the log about them."""
        kinds = {
            name: kind for kind in (PASS_TO_PASS, FAIL_TO_PASS) for name in _tests(self._evaluation, kind, "failure")
        }
        tests = sorted(kinds, key=lambda name: kinds[name] != FAIL_TO_PASS)[:MOST_FAILING]
        logs = log_excerpts.excerpts(self._run.logs(self._name) / TEST_OUTPUT, tests)

        def failing(most: int) -> list[dict[str, Any]]:
            return [
                {"test": name[:MOST_REMARK], "kind": kinds[name], "log": middle_left_out(logs[name], most)}
                for name in tests
            ]

        return failing(self._limit("failing", failing, log_excerpts.MOST_LINES))

    # --- lists of names

    def _lists(self, most: int) -> dict[str, Any]:
        """Everything that has lists of names, each with `most` at most."""
        localization = self._run.localizations.get(self._name)
        evaluation = self._evaluation
        return {
            "files": [names(files, most) for files in localization.file_lists[:most]] if localization else [],
            "files_origin": localization.origin[:MOST_REMARK] if localization else "",
            "ignored_files": names(localization.ignored, most) if localization else [],
            "gold_files": names(evaluation.gold_files, most) if evaluation else [],
            "rejections": self._candidates.rejections(most),
            "regression": self._regression(most),
            "evaluation": _evaluation(evaluation, most) if evaluation else None,
            "timeline": [
                {"stage": span.stage[:MOST_REMARK], "start": span.start, "end": span.end}
                for span in self._timeline[:most]
            ],
        }

    def _regression(self, most: int) -> dict[str, Any] | None:
        tests = self._run.regressions.get(self._name)
        if tests is None:
            return None
        return {
            "files": names(tests.files, most),
            "passing": len(tests.passing),
            "excluded": names(tests.excluded, most),
            "left_out": max(0, len(tests.excluded) - most),
            "note": tests.note[:MOST_REMARK],
        }

    # --- candidates

    def _with_candidates(self, data: dict[str, Any]) -> dict[str, Any]:
        """Add the chosen candidate, and as many of the others as there is room for, those with the most votes first."""
        unique = self._candidates.unique
        entries: list[dict[str, Any]] = []
        ends = [len(self._table)]

        def first(count: int) -> dict[str, Any]:
            for candidate in unique[len(entries) : count]:
                entries.append(all_sendable({"diff": self._diff(candidate), **candidate.data()}))
                ends.append(len(self._table))
            left_out = len(unique) - count
            return {
                **data,
                "lines": self._table.lines()[: ends[count]],
                "candidates": entries[:count],
                "left_out": left_out,
            }

        fit, too_many = min(1, len(unique)), len(unique) + 1
        size, tried = packed_size(first(fit)), min(32, len(unique))
        while fit < tried < too_many:
            size_of_tried = packed_size(first(tried))
            size_of_one = max(1, size_of_tried - size) / (tried - fit)
            if size_of_tried <= self._room:
                fit, size = tried, size_of_tried
            else:
                too_many = tried
            # the size grows nearly in proportion, so that a few trials are enough
            tried = min(too_many - 1, fit + int((self._room - size) / size_of_one))
        return first(fit)

    def _diff(self, candidate: UniqueCandidate) -> list[int]:
        most = MOST_LINES
        if candidate.chosen:
            most = self._line_limit("chosen", [candidate.patch], LineTable.diff)
        return self._table.diff(candidate.patch, most)


def _answer(sample: Sample, most: int, *, thinking: bool) -> dict[str, Any]:
    completion = sample.completion
    thoughts, text = split_thinking(completion, thinking=thinking)
    return {
        "sample": sample.index,
        "thinking": shortened(thoughts, most),
        "text": shortened(text, most),
        "finish_reason": completion.finish_reason[:MOST_REMARK],
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "error": completion.error[:MOST_REMARK],
    }


def _evaluation(evaluation: Evaluation, most: int) -> dict[str, Any]:
    to_pass, kept = (
        {outcome: _tests(evaluation, kind, outcome) for outcome in ("success", "failure")}
        for kind in (FAIL_TO_PASS, PASS_TO_PASS)
    )
    return {
        "verdict": evaluation.verdict.value,
        "reason": evaluation.reason[:MOST_REMARK],
        "remark": evaluation.remark[:MOST_REMARK],
        "strict": evaluation.strict.value if evaluation.strict else None,
        "strict_reason": evaluation.strict_reason[:MOST_REMARK],
        "suspicious": names(evaluation.suspicious, most),
        "seconds": evaluation.seconds,
        "test_seconds": evaluation.test_seconds,
        "image_id": evaluation.image_id[:MOST_REMARK],
        "fail_to_pass": {
            "passed": names(to_pass["success"], most),
            "failed": names(to_pass["failure"], most),
            "left_out": sum(max(0, len(tests) - most) for tests in to_pass.values()),
        },
        "pass_to_pass": {
            "passed": len(kept["success"]),
            "failed": names(kept["failure"], most),
            "left_out": max(0, len(kept["failure"]) - most),
        },
    }


def _tests(evaluation: Evaluation | None, kind: str, outcome: str) -> list[str]:
    """The tests of a kind with an outcome, by the official report."""
    report = evaluation.report if evaluation else None
    tests: list[str] = ((report or {}).get("tests_status") or {}).get(kind, {}).get(outcome, [])
    return tests
