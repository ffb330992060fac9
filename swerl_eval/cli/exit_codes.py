"""The exit codes of the commands: 0, and those below. 3 is reserved for gates that are not met."""

from __future__ import annotations

import typer

FAILED, USAGE = 1, 2


def exit_with(code: int) -> None:
    """End the command with an exit code; return for 0."""
    if code:
        raise typer.Exit(code)
