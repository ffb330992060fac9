"""Reads a run folder: its report, and its records as typed objects and as tables."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from swerl_eval.api.tables import Records
from swerl_eval.core.types import (
    Candidate,
    Evaluation,
    Evidence,
    Failure,
    Localization,
    RegressionTests,
    ReproductionTest,
    Reward,
    Sample,
    Selection,
)
from swerl_eval.records.run_files import REPORT_FILE, look_at
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.summary import build_report


class StoredRun:
    """A run folder, read only. Records are read from it when they are asked for.

    Args:
        folder: The run folder.

    Raises:
        UsageError: The folder is no run folder.
        InputError: A file of it is malformed.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._run = Run(self.folder)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    @property
    def instances(self) -> tuple[str, ...]:
        """The ids of the run's instances."""
        return tuple(self._run.manifest.instances)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings that the run was made with, by name."""
        return self._run.manifest.config

    @cached_property
    def report(self) -> dict[str, Any]:
        """The content of `report.json`; computed from the records where it is older than they are, or not there."""
        try:
            report = orjson.loads((self.folder / REPORT_FILE).read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            report = None
        current = look_at(self.folder).is_current(REPORT_FILE)
        return report if current and isinstance(report, dict) else build_report(self._run)

    def evaluation(self, instance_id: str) -> Evaluation | None:
        """Return the verdict on the patch that was selected for an instance, if there is one."""
        return self._run.evaluation_of(instance_id)

    def localizations(self) -> Records[Localization]:
        """Return the files that were chosen, by instance."""
        return Records(Localization, self._run.localizations)

    def samples(self) -> Records[Sample]:
        """Return the model's answers, of all stages."""
        return Records(Sample, self._run.samples)

    def candidates(self) -> Records[Candidate]:
        """Return the patches that answers gave, or why one gave none."""
        return Records(Candidate, self._run.candidates)

    def reproductions(self) -> Records[ReproductionTest]:
        """Return the generated tests."""
        return Records(ReproductionTest, self._run.reproductions)

    def regressions(self) -> Records[RegressionTests]:
        """Return the repositories' own tests that candidates were run against."""
        return Records(RegressionTests, self._run.regressions)

    def evidence(self) -> Records[Evidence]:
        """Return what the tests said of candidates."""
        return Records(Evidence, self._run.evidence)

    def selections(self) -> Records[Selection]:
        """Return the one patch of each instance that enters the solve rate."""
        return Records(Selection, self._run.selections)

    def evaluations(self) -> Records[Evaluation]:
        """Return the verdicts on patches."""
        return Records(Evaluation, self._run.evaluations)

    def rewards(self) -> Records[Reward]:
        """Return the SWE-RL rewards of repair answers."""
        return Records(Reward, self._run.rewards)

    def stored_failures(self) -> Records[Failure]:
        """Return the instances that could not be worked on, with the reasons."""
        return Records(Failure, self._run.failures)


class FinishedRun(StoredRun):
    """A run that this process has carried out.

    Args:
        folder: The run folder.
        failures: Instances that could not be worked on, and why.
        infra_errors: Instances whose verdict the machine prevented, and why.
    """

    def __init__(self, folder: Path, failures: Mapping[str, str], infra_errors: Mapping[str, str]) -> None:
        super().__init__(folder)
        self.failures = failures
        self.infra_errors = infra_errors

    @property
    def complete(self) -> bool:
        """Whether every instance was finished. The same call tries the others again."""
        return not self.failures and not self.infra_errors


def load_run(folder: str | Path) -> StoredRun:
    """Return a run folder for reading.

    Raises:
        UsageError: The folder is no run folder.
        InputError: A file of it is malformed.
    """
    return StoredRun(folder)
