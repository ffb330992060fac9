"""`swerl-eval gate`: says in one line whether a run is good enough, for jobs that go by the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from swerl_eval.cli.exit_codes import FAILED, GATE_NOT_MET
from swerl_eval.core.errors import InputError, UsageError
from swerl_eval.records.atomic import write_bytes
from swerl_eval.reports.comparison.names import printable
from swerl_eval.reports.comparison.sides import read_sides
from swerl_eval.reports.gate.decision import Rules
from swerl_eval.reports.gate.floor import read_floor
from swerl_eval.reports.gate.judge import Judgement, judge
from swerl_eval.reports.gate.junit import as_junit
from swerl_eval.reports.gate.markdown import as_markdown
from swerl_eval.reports.gate.plain import as_json
from swerl_eval.reports.gate.words import as_text, headline
from swerl_eval.reports.quarantine import read_quarantine

TEXT = "text"
FORMATS: dict[str, Callable[[Judgement], str]] = {
    TEXT: as_text,
    "markdown": as_markdown,
    "json": as_json,
    "junit": as_junit,
}


def run_gate(run: str, results: Path, given: dict[str, Any]) -> int:
    """Judge a run, print the line that says why, and write the document that was asked for.

    Args:
        run: The run: a name below `results`, or a path.
        results: The folder of run folders.
        given: The values of the options `judging_commands.GATE`.

    Returns:
        The exit code: 0 where the gate is met, 3 where it is not, 1 where a file is broken, so that it cannot be told.

    Raises:
        UsageError: The command makes no sense, or the two runs cannot be compared.
    """
    form = given["form"] or TEXT
    if form not in FORMATS:
        message = f"--format {form}: choose {', '.join(FORMATS)}"
        raise UsageError(message)
    rules = _rules(given)
    try:
        judgement = _judgement(run, results, rules, given)
    except InputError as error:
        sys.stderr.write(f"swerl-eval: gate cannot be judged: {printable(str(error))}\n")
        return FAILED
    _write(judgement, form, FORMATS[form](judgement), given["output"])
    return 0 if judgement.decision.met else GATE_NOT_MET


def _rules(given: dict[str, Any]) -> Rules:
    """Return the rules that the options ask for. A baseline without a rule of its own asks for a supported loss."""
    for name in ("max_regressions", "significant", "anyway"):
        asked = given[name] is not None and given[name] is not False
        if asked and given["baseline"] is None:
            message = f"--{name.replace('_', '-')} needs a --baseline, such as --baseline results/monday"
            raise UsageError(message)
    return Rules(
        min_rate=None if given["min_solve_rate"] is None else read_floor(given["min_solve_rate"]),
        max_regressions=given["max_regressions"] or 0,
        significant=bool(given["significant"]) or given["max_regressions"] is None,
        max_infra=given["max_infra"] or 0,
    )


def _judgement(run: str, results: Path, rules: Rules, given: dict[str, Any]) -> Judgement:
    baseline = given["baseline"]
    sides = read_sides([run, *([] if baseline is None else [baseline])], results)
    file = given["quarantine"] or sides[0].quarantine
    return judge(
        sides,
        rules,
        read_quarantine(Path(file)) if file else None,
        strict=bool(given["strict"]),
        anyway=bool(given["anyway"]),
    )


def _write(judgement: Judgement, form: str, document: str, output: Path | None) -> None:
    """Write the document to its file or to standard output, and the line so that it is seen once in any case."""
    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(output, document.encode("utf-8", "backslashreplace"))
        except OSError as error:
            message = f"cannot write {output}: {error.strerror}; choose another --output"
            raise UsageError(message) from error
        sys.stdout.write(f"{headline(judgement)}\n")
        return
    if form != TEXT:
        sys.stderr.write(f"{headline(judgement)}\n")
    sys.stdout.write(document)
