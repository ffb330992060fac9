"""Writes a made-up run folder of any size, in the real formats: for measurements of what reads one.

No model wrote an answer of it and no container ran a test: everything comes from a seed. The model's name, the dataset
and the ids say so wherever they are shown.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from _made_up_code import Issue, make_issue, make_patch, prose, statement

from swerl_eval.config import RunConfig
from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import (
    Candidate,
    Completion,
    Evaluation,
    Evidence,
    GoldPatch,
    IssueText,
    Localization,
    Machine,
    ModelUsage,
    Outcome,
    RegressionTests,
    Rejection,
    ReproductionTest,
    Reward,
    Sample,
    Selection,
    Verdict,
)
from swerl_eval.records.journal import SCHEMA_VERSION
from swerl_eval.records.manifest import RunManifest, write_manifest
from swerl_eval.records.run_folder import Run

MODEL = "made up, no model"
RAN_AT = 1_790_000_000.0
UNIQUE = 120
"""Unique patches of an instance, where it has as many samples."""
REJECTED = 0.08
"""Share of samples that give no candidate."""
TESTS, TEST_SAMPLES, LOCALIZATION_SAMPLES = 10, 30, 4
STAGES = {"localize": 3.0, "repair": 60.0, "reproduce": 20.0, "run_tests": 90.0, "select": 0.1, "evaluate": 80.0}
"""Seconds of each."""
DIFFICULTIES = ("<15 min fix", "15 min - 1 hour", "1-4 hours", ">4 hours")


@dataclass(frozen=True)
class Size:
    """How large the run is."""

    instances: int
    samples: int
    small_answers: bool = False
    """Whether answers are short, to save disk."""


class Journals:
    """Writes the lines of journals as `records.journal` does, without its index."""

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        self._folder = folder
        self._closing = closing
        self._files: dict[str, BinaryIO] = {}

    def write(self, kind: str, *records: Any) -> None:
        """Append records to the journal of a kind."""
        if kind not in self._files:
            self._files[kind] = self._closing.enter_context((self._folder / f"{kind}.jsonl").open("wb"))
        for record in records:
            line = {"v": SCHEMA_VERSION, **vars(record)}
            self._files[kind].write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def make_run(folder: Path, size: Size) -> Run:
    """Write the run folder, then open it as every reader does."""
    folder.mkdir(parents=True)
    issues = [make_issue(number) for number in range(size.instances)]
    write_manifest(folder, _manifest(folder.name, issues, size))
    with ExitStack() as closing:
        journals = Journals(folder, closing)
        events = closing.enter_context((folder / "events.jsonl").open("wb"))
        journals.write("machines", Machine("made up", "x86_64", 64.0, 256 * 2**30, "made up"))
        journals.write("usage", _usage(size))
        for number, issue in enumerate(issues):
            _write_instance(folder, journals, issue, size)
            events.write(b"".join(_events(issue, RAN_AT + 7.0 * number)))
    return Run(folder)


def _manifest(run_id: str, issues: Sequence[Issue], size: Size) -> RunManifest:
    config = RunConfig(
        dataset="made-up", model=MODEL, samples=size.samples, tests=TESTS, test_samples=TEST_SAMPLES,
        localization_samples=LOCALIZATION_SAMPLES, regression=True, evaluate="all", strict=True,
    )  # fmt: skip
    settings = json.loads(config.model_dump_json())
    instances = {
        issue.instance_id: {
            "repo": issue.instance_id.rpartition("-")[0].replace("__", "/"),
            "created_at": f"{2014 + number % 10}-{1 + number % 12:02}-11T09:12:40Z",
            "difficulty": DIFFICULTIES[min(3, int(number * 0.618 % 1 * 5))],
        }
        for number, issue in enumerate(issues)
    }
    return RunManifest(
        run_id=run_id, config=settings, identity=settings, instances=instances, dataset_fingerprint=sha256("made up"),
        prompts={"repair": sha256("made up")}, versions={"swerl-eval": "made up", "swebench": "made up"},
        model_name=MODEL, recorded=True, created_at="2026-09-21T14:13:20+00:00",
    )  # fmt: skip


def _usage(size: Size) -> ModelUsage:
    samples = size.instances * size.samples
    return ModelUsage(RAN_AT, 0.04 * samples, samples, 9_000 * samples, 90 * samples, 410 * samples, 8)


def _answer(issue: Issue, patch: str, *, small: bool) -> Completion:
    """Return the answer that a patch was read from."""
    if small:
        return Completion(
            "<think>\nmade up\n</think>\n<solution>made up</solution>", prompt_tokens=9_000, completion_tokens=12
        )
    first_hunk = patch.split("\n@@")[1]
    body = [line for line in first_hunk.splitlines()[1:] if line[:1] in {" ", "+", "-"}]
    search, replace = ("\n".join(line[1:] for line in body if line[0] in signs) for signs in (" -", " +"))
    edit = f"```python\n### {issue.paths[0]}\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n```"
    text = f"<think>\n{prose(issue, 4)}\n</think>\n<solution>\n{edit}\n</solution>"
    return Completion(text, prompt_tokens=9_000, completion_tokens=len(text) // 4)


def _write_instance(folder: Path, journals: Journals, issue: Issue, size: Size) -> None:
    """Write the records of one instance, stage by stage."""
    name, rng = issue.instance_id, issue.rng
    journals.write("issues", IssueText(name, f"{issue.names[0]} is wrong\n\n" + prose(issue, 14)))
    gold = make_patch(issue, issue.paths[0])
    journals.write("gold_patches", GoldPatch(name, gold))
    sample = _sampler(issue)
    lists = [issue.paths[rng.randrange(2) :][: rng.randint(2, 4)] for _ in range(LOCALIZATION_SAMPLES)]
    journals.write("samples", *(sample("localize", n, Completion("\n".join(paths))) for n, paths in enumerate(lists)))
    journals.write("localizations", Localization(name, tuple(dict.fromkeys(map(tuple, lists))), "model"))
    places = rng.choices(issue.paths[:2], [4, 1], k=min(UNIQUE, max(1, size.samples // 4)))
    forms = [make_patch(issue, path) for path in places]
    right = {patch for patch in forms if rng.random() < issue.ease}
    drawn = [
        *range(len(forms)),
        *rng.choices(range(len(forms)), [1 / (1 + n) for n in range(len(forms))], k=size.samples),
    ]
    votes: dict[int, int] = {}
    for index in range(size.samples):
        form = drawn[index]
        patch = forms[form]
        journals.write("samples", sample("repair", index, _answer(issue, patch, small=size.small_answers)))
        if index >= len(forms) and rng.random() < REJECTED:
            rejection, detail = rng.choice(list(Rejection)), f"edit 1 ({issue.paths[0]}): made up"
            journals.write("candidates", Candidate(name, index, rejection=rejection, detail=detail))
            journals.write("rewards", Reward(name, index, -1.0, "the solution holds no whole SEARCH/REPLACE block"))
            continue
        votes[form] = votes.get(form, 0) + 1
        journals.write("candidates", Candidate(name, index, patch, sha256(f"form of {patch}")))
        journals.write("rewards", Reward(name, index, 0.9 if patch in right else 0.2 + 0.5 * form / len(forms)))
    chosen = max(votes, key=lambda form: votes[form] * (1.3 if forms[form] in right else 1))
    reason = f"most votes of those that turn {TESTS} tests"
    valid = sum(votes.values())
    journals.write("selections", Selection(name, chosen, forms[chosen], reason, votes[chosen], valid, len(votes)))
    _write_tests(journals, issue, sample, forms, right)
    for patch in forms:
        journals.write("evaluations", _evaluation(issue, patch, solved=patch in right))
    _write_logs(folder / "logs" / name, issue, forms[chosen], solved=forms[chosen] in right)


def _sampler(issue: Issue) -> Callable[[str, int, Completion], Sample]:
    """Return a function that makes samples of an instance."""
    prompt = hashlib.sha256(issue.instance_id.encode()).hexdigest()

    def sample(stage: str, index: int, completion: Completion) -> Sample:
        files = () if stage == "localize" else tuple(issue.paths[:3])
        return Sample(issue.instance_id, stage, index, completion, files, prompt, 1_000 * index)

    return sample


def _write_tests(
    journals: Journals, issue: Issue, sample: Callable[..., Sample], forms: Sequence[str], right: set[str]
) -> None:
    """Write reproduction scripts, regression tests, and what they say of each unique candidate."""
    name, rng = issue.instance_id, issue.rng
    for index in range(TEST_SAMPLES):
        lines = [f"    {statement(issue).strip()}" for _ in range(12)]
        script = "\n".join(["def main():", *lines, '    print("Issue reproduced")', "", "", "main()", ""])
        journals.write("samples", sample("reproduce", index, Completion(f"```python\n{script}```")))
        kept = index < TESTS
        outcome = Outcome.REPRODUCED if kept else rng.choice(list(Outcome))
        record = ReproductionTest(name, index, script, sha256(script), outcome, int(kept), index if kept else None)
        journals.write("reproductions", record)
    excluded = tuple(issue.tests[:1])
    passing = tuple(issue.tests[1:])
    journals.write("regressions", RegressionTests(name, ("tests/test_made_up.py",), passing, excluded))
    for patch in forms:
        chance = 0.9 if patch in right else rng.choice([0.0, 0.3])
        outcomes = tuple(Outcome.RESOLVED if rng.random() < chance else Outcome.REPRODUCED for _ in range(TESTS))
        broken = tuple(rng.sample(issue.tests, k=rng.choice([1, 3]))) if rng.random() < 0.3 else ()
        error = "the container's time was up" if rng.random() < 0.01 else ""
        form = sha256(f"form of {patch}")
        journals.write("evidence", Evidence(name, form, outcomes, broken, 31.4, 28.2, error))


def _evaluation(issue: Issue, patch: str, *, solved: bool) -> Evaluation:
    rng, status = issue.rng, Verdict.RESOLVED if solved else Verdict.UNRESOLVED
    failing = _failing(issue, patch, solved=solved)
    if not solved and rng.random() < 0.02:
        status = rng.choice([Verdict.INFRA_ERROR, Verdict.TIMED_OUT, Verdict.PATCH_FAILED])
        reason = "made up: the engine went away"
        return Evaluation(
            issue.instance_id, sha256(patch), status, None, reason, strict=status, gold_files=(issue.paths[0],)
        )
    statuses = {
        kind: {
            "success": [each for each in names if each not in failing],
            "failure": [each for each in names if each in failing],
        }
        for kind, names in (("FAIL_TO_PASS", issue.tests[:3]), ("PASS_TO_PASS", issue.tests[3:]))
    }
    report = {"patch_exists": True, "patch_successfully_applied": True, "resolved": solved, "tests_status": statuses}
    doubted = solved and rng.random() < 0.03
    return Evaluation(
        issue.instance_id, sha256(patch), status, report, "", "", 48.0 + rng.random(), 40.0, f"sha256:{sha256('')}",
        gold_files=(issue.paths[0],), strict=Verdict.UNRESOLVED if doubted else status,
        strict_reason="2 tests that were made to fail did not" if doubted else "",
        suspicious=("conftest.py: read before the tests",) if doubted else (),
    )  # fmt: skip


def _failing(issue: Issue, patch: str, *, solved: bool) -> list[str]:
    rng = random.Random(patch)
    return [] if solved else [*issue.tests[: rng.randint(1, 3)], *rng.sample(issue.tests[3:], k=2)]


def _write_logs(folder: Path, issue: Issue, patch: str, *, solved: bool) -> None:
    """Write the logs of the chosen patch."""
    folder.mkdir(parents=True)
    failing = _failing(issue, patch, solved=solved)
    log = ["+ : '>>>>> Start Test Output'", "platform linux -- made up"]
    for name in failing:
        log += [f"{'_' * 20} {name.partition('::')[2]} {'_' * 20}", *(statement(issue) for _ in range(30))]
        log += [f"E       AssertionError: assert {issue.names[3]} == {issue.names[4]}", ""]
    log += [statement(issue) for _ in range(200)]
    log += [f"{'FAILED' if name in failing else 'PASSED'} {name}" for name in issue.tests]
    log += ["+ : '>>>>> End Test Output'", ""]
    (folder / "test_output.txt").write_text("\n".join(log), encoding="utf-8")
    (folder / "patch.diff").write_text(patch, encoding="utf-8")
    (folder / "eval.sh").write_text("echo made up\n", encoding="utf-8")
    (folder / "run_instance.log").write_text(">>>>> Applied Patch: git apply --verbose\n", encoding="utf-8")
    statuses = {"resolved": solved, "made_up": True}
    (folder / "report.json").write_text(json.dumps({issue.instance_id: statuses}), encoding="utf-8")
    if solved:
        facts = {"reset_files": [], "exit_code": 1, "confirm_exit_code": -1, "timed_out": False, "clear": True}
        (folder / "control.json").write_text(json.dumps(facts), encoding="utf-8")
        (folder / "control_output.txt").write_text("\n".join(log), encoding="utf-8")


def _events(issue: Issue, begun: float) -> Iterator[bytes]:
    """Yield the lines of the timeline of one instance."""
    time = begun
    for stage, seconds in STAGES.items():
        for event, later in (("start", seconds * (0.5 + issue.rng.random())), ("end", 0.01)):
            line = {"time": round(time, 3), "instance_id": issue.instance_id, "stage": stage, "event": event}
            yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
            time += later
