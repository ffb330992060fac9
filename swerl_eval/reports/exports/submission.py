"""Exports a submission with a repository of its own, laid out as swebench's `submit` commands lay it out.

`submission-repo/` is for the submitter's public repository, `entry/` for the pull request to SWE-bench/experiments, and
`submission.json` names both. Anybody can grade the logs of the repository again.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swerl_eval.core.errors import UsageError
from swerl_eval.records.atomic import write_json, write_lines
from swerl_eval.records.log_files import PATCH, REPORT, TEST_OUTPUT
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.comparison.names import listed, printable
from swerl_eval.reports.exports.checking import check
from swerl_eval.reports.exports.claims import submission_folder
from swerl_eval.reports.exports.destination import reserve_folder
from swerl_eval.reports.exports.entry import refuse_unfit_entry, split_name, write_entry
from swerl_eval.reports.exports.schemas import Prediction, SubmissionFile
from swerl_eval.reports.exports.swebench import copy_logs
from swerl_eval.reports.exports.trajectories import write_trajectories
from swerl_eval.reports.swebench_report import predictions

REPOSITORY, ENTRY, SUBMISSION = "submission-repo", "entry", "submission.json"
MOST_BYTES = 50 * 1024 * 1024
"""Bytes of one file, at most: GitHub warns above this, and swebench refuses to package more."""
_SHOWN_FILES = 5


class SubmissionExporter:
    """`swerl-eval export RUN --to submission` (a `ports.Exporter`)."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write `submission-repo/`, `entry/` and `submission.json` below `destination`."""
        opened = Run(run)
        remarks = refuse_unfit_entry(opened, details, "submission")
        rows = check(list[Prediction], predictions(opened), "all_preds.jsonl")
        content = {
            "schema_version": 1,
            "submission_id": submission_folder(opened.manifest),
            "split": split_name(opened),
            "model": opened.manifest.model_name,
            "run_dir": opened.folder.resolve().name,
        }
        check(SubmissionFile, content, SUBMISSION)
        reserve_folder(destination, opened, [REPOSITORY, ENTRY, SUBMISSION])
        repository, entry = destination / REPOSITORY, destination / ENTRY
        write_entry(opened, details, remarks, entry)
        (repository / "logs").mkdir(parents=True, exist_ok=True)
        write_lines(repository / "all_preds.jsonl", rows)
        for name in opened.manifest.instance_ids:
            copy_logs(opened.logs(name), repository / "logs" / name, (PATCH, REPORT))
            _compress(opened.logs(name) / TEST_OUTPUT, repository / "logs" / name / f"{TEST_OUTPUT}.gz")
        write_trajectories(opened, details, repository / "trajs")
        _refuse_large_files(repository)
        write_json(destination / SUBMISSION, content)
        return [repository, entry, destination / SUBMISSION]


def _compress(source: Path, target: Path) -> None:
    """Write a file compressed, with no time and no name in it: the same content gives the same bytes."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            source.open("rb") as content,
            target.open("wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as compressed,
        ):
            shutil.copyfileobj(content, compressed)


def _refuse_large_files(repository: Path) -> None:
    """Refuse files that a public repository would not take; `submission.json` is not written then.

    Raises:
        UsageError: There are some; the message names them.
    """
    files = (file for file in repository.rglob("*") if file.is_file())
    large = sorted(file.relative_to(repository).as_posix() for file in files if file.stat().st_size > MOST_BYTES)
    if large:
        message = (
            f"{repository}: over {MOST_BYTES // 1024 // 1024} MB, which a repository does not take: "
            f"{listed(large, printable, _SHOWN_FILES)}; shorten these by hand, and say so in the README"
        )
        raise UsageError(message)
