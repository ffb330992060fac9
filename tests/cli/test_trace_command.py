"""`swerl-eval trace` over a run folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from swerl_eval.cli.trace import write_trace
from swerl_eval.core.errors import UsageError

OLD = Path(__file__).parent.parent / "data" / "run-folder-0.1"


def test_the_trace_is_written_into_the_run_folder_or_where_it_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(OLD, folder)
    with (folder / "events.jsonl").open("a") as file:
        file.write("torn\n")
    write_trace(folder, None)
    shown = capsys.readouterr()
    assert shown.out == f"{folder}/trace.json\n"
    assert shown.err == "swerl-eval: 1 lines of the timeline could not be read\n"
    write_trace(folder, tmp_path / "new" / "other.json")
    written = (tmp_path / "new" / "other.json").read_bytes()
    assert written == (folder / "trace.json").read_bytes()
    assert json.loads(written)["otherData"]["run"] == "old"


def test_a_folder_that_is_no_run_and_a_file_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run folder"):
        write_trace(tmp_path, None)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write .*file/trace\.json: .*; choose another --output"):
        write_trace(OLD, tmp_path / "file" / "trace.json")
