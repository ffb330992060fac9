"""A run folder with something of everything that exports carry, for their tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import (
    Candidate,
    Completion,
    Evaluation,
    Failure,
    GoldPatch,
    IssueText,
    Localization,
    Rejection,
    Reward,
    Sample,
    Selection,
    Verdict,
)
from swerl_eval.records.run_folder import Run, open_run
from tests.reports.comparison_runs import CONFIG, MANIFEST

FIXED, FAILING, EMPTY, BROKEN, STUCK, WAITING = "a__a-1", "a__a-2", "a__a-3", "b__b-1", "b__b-2", "b__b-3"
"""Resolved, unresolved, without a patch, without a machine, with a failure, and not begun."""
PATCH = "diff --git a/f.py b/f.py\n--- a/f.py\n+++ b/f.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"
GOLD = PATCH.replace("x = 2", "x = 3")
ANSWER = "<think>\nIt is one too few.\n</think>\n<solution>\nx = 2\n</solution>"


def _facts(repo: str, difficulty: str) -> dict[str, str]:
    return {"repo": repo, "created_at": "2020-05-01T00:00:00Z", "difficulty": difficulty}


FACTS = {
    **{name: _facts("a/a", "<15 min fix") for name in (FIXED, FAILING, EMPTY)},
    **{name: _facts("b/b", "1-4 hours") for name in (BROKEN, STUCK, WAITING)},
}
LEFT = (BROKEN, STUCK, WAITING)
"""The instances without a verdict."""


def tests_status(failed: dict[str, list[str]]) -> dict[str, Any]:
    """The official report's tests: two of each kind, of which these fail."""
    kinds = {"FAIL_TO_PASS": ["t.py::f1", "t.py::f2"], "PASS_TO_PASS": ["t.py::p1", "t.py::p2"]}
    return {
        kind: {
            "success": [name for name in names if name not in failed.get(kind, ())],
            "failure": [name for name in names if name in failed.get(kind, ())],
        }
        for kind, names in kinds.items()
    }


def make(folder: Path, *names: str, **changes: Any) -> Path:
    """Make a run folder of some of the instances above, by default of all of them.

    Args:
        folder: The run folder, named by the run id.
        names: The chosen instances.
        changes: Changed fields of the manifest; `config` is merged.
    """
    own = {"thinking": True, "samples": 3, "temperature": 0.5, "max_tokens": 900, "seed": 7, "limit": None}
    config = {**CONFIG, **own, **changes.pop("config", {})}
    fields = {"instances": {name: FACTS[name] for name in names or FACTS}, "prompts": {"repair": "ab"}, **changes}
    manifest = MANIFEST.__class__(**{**vars(MANIFEST), "run_id": folder.name, "config": config, **fields})
    with open_run(folder, manifest) as run:
        for name in manifest.instances:
            run.issues.append(IssueText(name, f"Issue {name}\n\n<b>wrong</b>"))
            if name != WAITING:
                _work(run, name)
    events = [(name, time) for name in manifest.instances if name != WAITING for time in (1000.0, 1060.5)]
    lines = [
        orjson.dumps({"time": time, "instance_id": name, "stage": "repair", "event": "e"}) for name, time in events
    ]
    (folder / "events.jsonl").write_bytes(b"\n".join([*lines, b'{"time": 9']))
    return folder


def _work(run: Run, name: str) -> None:
    run.localizations.append(Localization(name, (("f.py", "g.py"), ("g.py",)), "model"))
    for index, text in enumerate([ANSWER, ANSWER, "no idea"]):
        completion = Completion(text, "stop", prompt_tokens=100, completion_tokens=10, cached_tokens=40)
        run.samples.append(Sample(name, "repair", index, completion, ("f.py",), "0" * 64, index))
    test = Completion("a test", prompt_tokens=7, completion_tokens=3)
    run.samples.append(Sample(name, "reproduce", 0, test, (), "0" * 64, 9))
    patch = "" if name == EMPTY else PATCH
    for index in (0, 1):
        made = Candidate(name, index, PATCH, "form") if patch else Candidate(name, index, rejection=Rejection.NO_MATCH)
        run.candidates.append(made)
    run.candidates.append(Candidate(name, 2, rejection=Rejection.NO_EDIT, detail="no edit"))
    run.rewards.append(Reward(name, 0, 0.75))
    if name == STUCK:
        run.failures.append(Failure(name, "the clone failed"))
        return
    chosen = (0, patch, "majority: 2 of 2 valid samples agree", 2, 2, 1) if patch else (None, "", "no valid sample")
    run.selections.append(Selection(name, *chosen))
    run.gold_patches.append(GoldPatch(name, GOLD))
    verdicts = {FIXED: Verdict.RESOLVED, FAILING: Verdict.UNRESOLVED, EMPTY: Verdict.EMPTY_PATCH}
    verdict = verdicts.get(name, Verdict.INFRA_ERROR)
    failed = {"FAIL_TO_PASS": ["t.py::f2"]} if name == FAILING else {}
    graded = {"resolved": name == FIXED, "tests_status": tests_status(failed)} if name in {FIXED, FAILING} else None
    run.evaluations.append(
        Evaluation(
            name,
            sha256(patch),
            verdict,
            report=graded,
            reason="the engine is gone" if verdict is Verdict.INFRA_ERROR else "",
            seconds=12.5,
            test_seconds=10.0,
            image_id="sha256:1",
            gold_files=("f.py",),
            strict=Verdict.UNRESOLVED if name == FIXED else verdict,
            strict_reason="`t.py::p1` passes without the change" if name == FIXED else "",
            suspicious=("conftest.py is loaded",) if name == FIXED else (),
        )
    )
