"""Exports a run as a Parquet file, one row for each instance, with typed columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from swerl_eval.records.atomic import write_bytes
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.exports.claims import why_grading_only
from swerl_eval.reports.exports.destination import reserve_folder
from swerl_eval.reports.exports.instance_rows import COLUMNS, instance_rows
from swerl_eval.reports.summary import Report, build_report


class ParquetExporter:
    """`swerl-eval export RUN --to parquet` (a `ports.Exporter`)."""

    def export(self, run: Path, destination: Path, details: Mapping[str, Any]) -> list[Path]:
        """Write `instances.parquet` below `destination`."""
        import pyarrow
        from pyarrow import parquet

        opened = Run(run)
        target = destination / "instances.parquet"
        reserve_folder(destination, opened, [target.name])
        report = build_report(opened)
        types = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
        schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()], metadata=_pins(opened, report))
        table = pyarrow.Table.from_pylist(list(instance_rows(opened, report)), schema=schema)
        file = pyarrow.BufferOutputStream()
        parquet.write_table(table, file)
        write_bytes(target, file.getvalue().to_pybytes())
        return [target]


def _pins(run: Run, report: Report) -> dict[str, str]:
    """What the verdicts were measured with, as the file's metadata; a value that is no text is JSON."""
    pins = {
        "dataset": run.manifest.config["dataset"],
        "dataset_sha256": run.manifest.dataset_fingerprint,
        "limits": report["limits"],
        "versions": run.manifest.versions,
        "warning": why_grading_only(run.manifest),
    }
    return {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in pins.items()}
