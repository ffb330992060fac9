"""A judgement as plain data: the content of `swerl-eval gate --format json`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from swerl_eval.reports.comparison.names import printable
from swerl_eval.reports.comparison.sides import Side
from swerl_eval.reports.gate.decision import Kind, Rate
from swerl_eval.reports.gate.judge import Judgement
from swerl_eval.reports.gate.words import clause, headline, remarks

SCHEMA_VERSION = 1


def as_json(judgement: Judgement) -> str:
    """Return the judgement as JSON. What is not ASCII is escaped: names of files can hold lone surrogates."""
    return json.dumps(as_data(judgement), indent=2) + "\n"


def as_data(judgement: Judgement) -> dict[str, Any]:
    """Return everything that is known of the judgement; all instances are named."""
    decision, rules = judgement.decision, judgement.decision.rules
    regressions = decision.of(Kind.REGRESSIONS)
    return {
        "schema_version": SCHEMA_VERSION,
        "met": decision.met,
        "line": headline(judgement),
        "verdict": judgement.verdict,
        "run": _side(judgement.run),
        "baseline": _side(judgement.baseline) if judgement.baseline else None,
        "rules": {
            "min_solve_rate": None if rules.min_rate is None else float(rules.min_rate),
            "max_regressions": rules.max_regressions if regressions else None,
            "significant": rules.significant if regressions else None,
            "max_infra": rules.max_infra,
        },
        "conditions": [
            {
                "name": condition.kind.value,
                "met": condition.met,
                "words": clause(judgement, condition, printable),
                "instances": list(condition.instances),
            }
            for condition in decision.conditions
        ],
        "counted": _rate(decision.counted),
        "overall": _rate(decision.overall),
        "regressions": list(regressions.instances) if regressions else None,
        "gained": list(decision.gained) if regressions else None,
        "p": decision.p,
        "prevented": list(decision.prevented),
        "quarantine": judgement.quarantine or None,
        "quarantined": list(decision.quarantined),
        "differences": [asdict(difference) for difference in judgement.differences],
        "remarks": remarks(judgement, printable),
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "kind": side.kind,
        "model": side.model,
        "recorded": side.recorded,
        "patches": side.patches,
        "complete": side.complete,
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {
        "resolved": rate.resolved,
        "total": rate.total,
        "solve_rate": None if rate.value is None else float(rate.value),
    }
