"""The options of `swerl-eval gate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

FORMATS = ("text", "markdown", "json", "junit")
GATE: dict[str, Any] = {
    "baseline": Annotated[
        str | None,
        typer.Option("--baseline", help="Run to compare with: a name, a folder, a run report, results.json."),
    ],
    "min_solve_rate": Annotated[
        str | None, typer.Option("--min-solve-rate", metavar="RATE", help="Least solve rate: 41, 41% or 0.41.")
    ],
    "max_regressions": Annotated[
        int | None,
        typer.Option(
            "--max-regressions", metavar="N", min=0, help="Instances that only the baseline resolves, at most."
        ),
    ],
    "significant": Annotated[
        bool | None,
        typer.Option(
            "--significant",
            help="Regressions fail only where McNemar's exact test supports a loss (p < 0.05). The default with a "
            "baseline and no --max-regressions.",
        ),
    ],
    "strict": Annotated[bool | None, typer.Option("--strict", help="Go by the strict verdict.")],
    "max_infra": Annotated[
        int | None,
        typer.Option(
            "--max-infra", metavar="N", min=0, help="Verdicts that the machine prevented, at most; default: 0."
        ),
    ],
    "quarantine": Annotated[
        Path | None,
        typer.Option("--quarantine", help="File of `validate`: its instances do not count. Default: the run's own."),
    ],
    "anyway": Annotated[
        bool | None,
        typer.Option("--anyway", help="Judge although the baseline was measured otherwise or is incomplete."),
    ],
    "form": Annotated[str | None, typer.Option("--format", help="text (default), markdown, json or junit.")],
    "output": Annotated[
        Path | None, typer.Option("--output", "-o", help="File for it; the line that says why is printed all the same.")
    ],
}
"""All are None when they are not given."""
