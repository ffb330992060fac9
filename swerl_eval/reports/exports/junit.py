"""Exports a run as JUnit XML, which CI systems show: a test case for each instance."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from swerl_eval.core.types import Evaluation, Verdict
from swerl_eval.records.atomic import write_bytes
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.exports.claims import why_grading_only
from swerl_eval.reports.exports.destination import reserve_folder
from swerl_eval.reports.summary import Report, build_report

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


class JunitExporter:
    """`swerl-eval export RUN --to junit` (a `ports.Exporter`)."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write `junit.xml` below `destination`."""
        opened = Run(run)
        target = destination / "junit.xml"
        reserve_folder(destination, opened, [target.name])
        file = io.BytesIO()
        document = JUnitXml(_text(f"{opened.manifest.model_name} on {opened.manifest.config['dataset']}"))
        document.add_testsuite(_suite(opened, build_report(opened)))
        document.write(file, pretty=True)
        write_bytes(target, file.getvalue())
        return [target]


def _suite(run: Run, report: Report) -> TestSuite:
    suite = TestSuite(_text(report["run_id"]))
    suite.timestamp = _text(run.manifest.created_at)
    properties = {
        "model": report["model"],
        "dataset": report["dataset"],
        "dataset_sha256": report["dataset_fingerprint"],
        "solve_rate": f"{report['solve_rate']:.4f}",
        "recorded": str(report["recorded"]).lower(),
        "patch_origin": run.manifest.patch_origin,
        "warning": why_grading_only(run.manifest),
        **{f"version.{name}": version for name, version in report["versions"].items()},
    }
    for name, value in properties.items():
        if value:
            suite.add_property(_text(name), _text(str(value)))
    suite.add_testcases([_case(run, row) for row in report["instances"]])
    return suite


def _case(run: Run, row: dict[str, Any]) -> TestCase:
    evaluation = run.evaluation_of(row["instance_id"])
    case = TestCase(_text(row["instance_id"]), _text(row["repo"]), evaluation.seconds if evaluation else 0.0)
    outcome = _outcome(run, row, evaluation)
    if outcome is not None:
        case.result = [outcome]
    strict = row.get("strict")
    if strict is not None and strict != row["verdict"]:
        case.system_out = _text(f"strict verdict: {strict}. {row.get('strict_reason', '')}")
    return case


def _outcome(run: Run, row: dict[str, Any], evaluation: Evaluation | None) -> Error | Failure | Skipped | None:
    """The case's result: a failure of the patch, an error of the machine, or nothing was run; None for resolved."""
    verdict, reason = row["verdict"], row.get("reason", "")
    message = _text(f"{verdict}: {reason}" if reason else verdict)
    if verdict == Verdict.RESOLVED.value:
        return None
    if verdict == Verdict.MISSING.value and row["instance_id"] not in run.failures:
        without = row["instance_id"] in run.manifest.without_prediction
        return Skipped("no prediction was handed in" if without else "not evaluated yet", verdict)
    kind = Error if verdict in {Verdict.INFRA_ERROR.value, Verdict.MISSING.value} else Failure
    result: Error | Failure = kind(message, verdict)
    result.text = _text(_failing_tests(evaluation))
    return result


def _failing_tests(evaluation: Evaluation | None) -> str:
    tests = (evaluation.report or {}).get("tests_status", {}) if evaluation else {}
    return "\n".join(
        f"{kind} {test}" for kind in ("FAIL_TO_PASS", "PASS_TO_PASS") for test in tests.get(kind, {}).get("failure", ())
    )


def _text(text: str) -> str:
    """A text with a replacement character for each one that XML cannot hold."""
    return _NO_XML.sub("\ufffd", text)
