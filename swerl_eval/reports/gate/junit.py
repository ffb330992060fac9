"""A judgement as JUnit XML: a testcase for each condition, so that a report has the same cases each night.

Instances are no testcases here: a case that is there only when it fails has no history, and one that fails although the
gate is met would make the report red. The failure names them.
"""

from __future__ import annotations

from swerl_eval.reports.comparison.names import printable
from swerl_eval.reports.gate.judge import Judgement
from swerl_eval.reports.gate.words import clause, headline, remarks, short


def as_junit(judgement: Judgement) -> str:
    """Return the judgement as JUnit XML."""
    from junitparser import Failure, JUnitXml, TestCase, TestSuite

    suite = TestSuite("swerl-eval gate")
    suite.add_property("line", headline(judgement))
    for remark in remarks(judgement, printable):
        suite.add_property("remark", remark)
    for condition in judgement.decision.conditions:
        case = TestCase(condition.kind.value, classname="swerl-eval.gate")
        said = clause(judgement, condition, printable)
        if condition.met:
            case.system_out = said
        else:
            failure = Failure(said)
            failure.text = "\n".join([said, *map(short(printable), condition.instances)])
            case.result = [failure]
        suite.add_testcase(case)
    report = JUnitXml("swerl-eval gate")
    report.add_testsuite(suite)
    content: bytes = report.tostring()  # type: ignore[no-untyped-call]  # junitparser leaves it untyped
    return content.decode()
