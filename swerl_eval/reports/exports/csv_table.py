"""Exports a run as a CSV file, one row for each instance."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swerl_eval.records.atomic import write_bytes
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.exports.destination import reserve_folder
from swerl_eval.reports.exports.instance_rows import COLUMNS, instance_rows
from swerl_eval.reports.summary import build_report

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What begins a formula in a spreadsheet."""


class CsvExporter:
    """`swerl-eval export RUN --to csv` (a `ports.Exporter`)."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write `instances.csv` below `destination`."""
        opened = Run(run)
        target = destination / "instances.csv"
        reserve_folder(destination, opened, [target.name])
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        for row in instance_rows(opened, build_report(opened)):
            writer.writerow({column: _cell(value) for column, value in row.items()})
        write_bytes(target, text.getvalue().encode())
        return [target]


def _cell(value: Any) -> Any:
    """A value as it is written. A text that a spreadsheet would run as a formula gets an apostrophe in front."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return str(value).lower() if isinstance(value, bool) else value
