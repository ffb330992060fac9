"""The bundled suite with its recorded answers, run without containers: a sandbox says what its tests would print."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import anyio

from swerl_eval.compose import open_sampler, settings
from swerl_eval.config import RunConfig
from swerl_eval.core.jobs.control_run import CONTROL, CONTROL_FILE
from swerl_eval.core.jobs.scripts import APPLIED, APPLY_LADDER, PATCH_FILE, TOKEN_FILE
from swerl_eval.core.types import IssueText, Job, Oracle
from swerl_eval.demo.setup import demo_settings
from swerl_eval.official import specification
from swerl_eval.pipeline import Pipeline
from swerl_eval.progress import Progress
from swerl_eval.reports.write_reports import write_reports
from swerl_eval.runner import Runner
from swerl_eval.sandboxes.scripted import Reply, ScriptedSandbox, evaluation_reply
from swerl_eval.scheduling.workers import Workers
from swerl_eval.settings import Parts

HARD = "demo__inkwell-3"
"""No patch solves this one."""


def run_demo(mirrors: Path, results: Path) -> Path:
    """Run the suite into `results/demo` and return that folder.

    A patch resolves its issue if it has half of the lines that the gold patch adds. One that does not, turns some of
    the reproduction tests all the same, and breaks a regression test now and then.
    """
    own = {"repositories": str(mirrors), "results": str(results), "workers": 2, "reuse": False}
    config = RunConfig(**{**demo_settings(), **own})
    work = Runner(config)
    oracles = {name: work.source.oracle(name) for name in (instance.instance_id for instance in work.instances)}
    sandbox = ScriptedSandbox(lambda job: reply(job, oracles[job.name.removesuffix(".tests")]))

    async def execute() -> None:
        with work.open_run() as run:
            parts = Parts(work.source, work.prompts, open_sampler(config, work.source), sandbox)
            pipeline = Pipeline(run, parts, settings(config), Progress(), Workers(2))
            run.issues.append(*(IssueText(each.instance_id, each.problem_statement) for each in work.instances))
            await pipeline.run(work.instances)
            write_reports(run)

    anyio.run(execute)
    return config.run_folder


def reply(job: Job, oracle: Oracle) -> Reply:
    """Return what a container would print."""
    files = dict(job.files)
    token = files[TOKEN_FILE].decode().strip()
    patch = files.get(PATCH_FILE, b"").decode()
    tests = specification.grading_inputs(oracle.row)
    if job.name.endswith(".tests"):
        return _tests(job.script, token, patch, oracle, tests["PASS_TO_PASS"])
    if CONTROL_FILE in files:
        log = _log([*tests["FAIL_TO_PASS"], *tests["PASS_TO_PASS"]], ())
        begun = f"{token} {APPLIED} 1.0 {APPLY_LADDER[0]}\n".encode()
        return Reply(begun + log + f"\n{token} {CONTROL} 1 2.0\n".encode())
    failing = [] if solves(patch, oracle) else tests["FAIL_TO_PASS"]
    passing = [*tests["PASS_TO_PASS"], *([] if failing else tests["FAIL_TO_PASS"])]
    return evaluation_reply(job, _log(failing, passing))


def solves(patch: str, oracle: Oracle) -> bool:
    """Return whether a patch has half of the lines that the gold patch adds."""
    gold = _added(oracle.patch)
    return oracle.instance_id != HARD and 2 * len(gold & _added(patch)) >= len(gold)


def _added(patch: str) -> set[str]:
    return {line[1:].strip() for line in patch.splitlines() if line.startswith("+") and not line.startswith("+++")}


def _tests(script: str, token: str, patch: str, oracle: Oracle, names: Sequence[str]) -> Reply:
    """Return the output of tests before the evaluation: regression tests and reproduction scripts."""
    solved, size = solves(patch, oracle), len(patch)
    parts = [f"{token} READY\n"]
    for kind, number in re.findall(r"run '(tests|script) (\d+)'", script):
        if kind == "tests":
            broken = names[:1] if patch and not solved and size % 2 else []
            output = "".join(f"{'FAILED' if name in broken else 'PASSED'} {name}\n" for name in names)
        else:
            turned = patch and (solved or (size + int(number)) % 3 == 0)
            output = "Issue resolved\n" if turned else "Issue reproduced\n"
        parts.append(f"{token} BEGIN {kind} {number}\n{output}\n{token} END {kind} {number} 0 1.0 1.4 same\n")
    return Reply("".join(parts).encode())


def _log(failing: Sequence[str], passing: Sequence[str]) -> bytes:
    """Return the log of an eval script, as pytest prints it."""
    lines = ["+ : '>>>>> Start Test Output'", "=" * 30 + " FAILURES " + "=" * 30 if failing else ""]
    for name in failing:
        file, _, test = name.partition("::")
        lines += [f"{'_' * 20} {test} {'_' * 20}", "", f"    def {test.partition('[')[0]}():"]
        lines += [
            ">       assert shown == expected",
            "E       AssertionError: assert 'a <b> & c' == 'a &lt;b&gt; &amp; c'",
        ]
        lines += ["", f"{file}:41: AssertionError"]
    lines.append("=" * 26 + " short test summary info " + "=" * 26)
    lines += [f"PASSED {name}" for name in passing]
    lines += [f"FAILED {name} - AssertionError: assert 'a <b> & c' == 'a &lt;b&gt; &amp; c'" for name in failing]
    return "\n".join([*lines, "+ : '>>>>> End Test Output'", ""]).encode()
