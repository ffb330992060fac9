"""The commands `gate` and `leaderboard` of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from swerl_eval.cli.exit_codes import exit_with
from swerl_eval.cli.options import resolve, taking

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


def add_judging_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the command line."""
    app.command()(gate)
    app.command()(leaderboard)


@taking("results", "config", "overrides", **GATE)
def gate(
    options: dict[str, Any],
    side: Annotated[
        str, typer.Argument(metavar="RUN", help="A run of --results, a run folder, a run report, results.json.")
    ],
) -> None:
    """Say in one line whether a run is good enough. Exit code 0: it is. 3: it is not. 1: a file is broken.

    A run has to be complete, with no verdict prevented by the machine; options ask for more.
    """
    from swerl_eval.cli.gate import run_gate

    given = {name: options.pop(name, None) for name in GATE}
    exit_with(run_gate(side, Path(resolve(options).results), given))


@taking("results", "config", "overrides")
def leaderboard(
    options: dict[str, Any],
    root: Annotated[
        Path | None, typer.Argument(metavar="[RESULTS]", help="Folder of runs; default: --results.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write leaderboard.json here.")] = None,
    depth: Annotated[int, typer.Option("--depth", help="How deep folders are searched.", min=0)] = 4,
) -> None:
    """List the runs below a folder, the best first, each with what it was measured with."""
    from swerl_eval.cli.leaderboard import print_leaderboard

    print_leaderboard(root or Path(resolve(options).results), output, depth)
