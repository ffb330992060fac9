"""Run folders with records of the method's stages, written by hand: a letter for each stage of each instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import (
    Candidate,
    Evaluation,
    Evidence,
    Localization,
    Outcome,
    RegressionTests,
    Rejection,
    ReproductionTest,
    Selection,
    Verdict,
)
from swerl_eval.records.run_folder import Run, open_run
from tests.reports.comparison_runs import MANIFEST

REJECTIONS = {
    "f": Rejection.SAMPLE_FAILED,
    "b": Rejection.BAD_FORMAT,
    "n": Rejection.NO_EDIT,
    "m": Rejection.NO_MATCH,
    "s": Rejection.SYNTAX_ERROR,
}


@dataclass(frozen=True)
class Records:
    """What is stored of one instance; None and empty is nothing."""

    files: tuple[tuple[str, ...], ...] | None = (("a.py",),)
    samples: str = "p"
    """A letter for each sample: `p` is a patch, the others are in `REJECTIONS`."""
    tests: str = ""
    """Passing regression tests, `r` for each."""
    broken: int | None = 0
    """Of these, how many the first patch breaks; None where its tests did not run."""
    outcomes: tuple[Outcome, ...] = ()
    """Of the reproduction tests on the first patch."""
    verdict: Verdict | None = Verdict.RESOLVED
    error: str = ""
    """Why the tests of the first patch did not run to their end."""


def made(folder: Path, records: Mapping[str, Records], **changes: object) -> Run:
    """Make a run folder with the records of each instance. `changes` are fields of the manifest."""
    manifest = replace(MANIFEST, instances={name: {} for name in records}, **changes)  # type: ignore[arg-type]
    with open_run(folder, manifest) as run:
        for name, stored in records.items():
            _store(run, name, stored)
    return Run(folder)


def _store(run: Run, name: str, stored: Records) -> None:
    if stored.files is not None:
        run.localizations.append(Localization(name, stored.files, "model"))
    patches = {index: f"patch {index} of {name}" for index, letter in enumerate(stored.samples) if letter == "p"}
    for index, letter in enumerate(stored.samples):
        if letter == "p":
            run.candidates.append(Candidate(name, index, patches[index], f"form {index}"))
        else:
            detail = "empty answer: no text" if letter == "f" else ""
            run.candidates.append(Candidate(name, index, rejection=REJECTIONS[letter], detail=detail))
    if stored.tests or stored.broken is None:
        run.regressions.append(RegressionTests(name, ("t.py",), tuple(stored.tests)))
    for rank, _ in enumerate(stored.outcomes):
        run.reproductions.append(ReproductionTest(name, rank, "print()", "x", Outcome.REPRODUCED, 1, rank))
    if not patches:
        return
    first = min(patches)
    if stored.broken is not None and (stored.tests or stored.outcomes or stored.error):
        broken = tuple(f"t{number}" for number in range(stored.broken))
        run.evidence.append(Evidence(name, f"form {first}", stored.outcomes, broken, 4.0, 3.0, stored.error))
    run.selections.append(Selection(name, first, patches[first], "majority", 1, len(patches), len(patches)))
    if stored.verdict is not None:
        run.evaluations.append(Evaluation(name, sha256(patches[first]), stored.verdict, seconds=10.0))
