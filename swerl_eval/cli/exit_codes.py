"""The exit codes of the commands: 0, and those below. 3 is for a gate that is not met."""

from __future__ import annotations

import typer

FAILED, USAGE, GATE_NOT_MET = 1, 2, 3


def exit_with(code: int) -> None:
    """End the command with an exit code; return for 0."""
    if code:
        raise typer.Exit(code)
