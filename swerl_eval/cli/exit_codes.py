"""The exit codes of the commands."""

from __future__ import annotations

import typer

FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes beside 0; 3 is kept for gates that are not met."""


def exit_with(code: int) -> None:
    """End the command with an exit code; return for 0."""
    if code:
        raise typer.Exit(code)
