"""Reads the old spelling of boolean options: `--strict on`, `--strict=off`.

Today's spelling is `--strict` and `--no-strict`. This module keeps older command lines working.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperGroup

ON, OFF = "on", "off"


class CommandGroup(TyperGroup):
    """A group whose commands also take `on` or `off` after an option that has a `--no-…` form."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command and its arguments, with the old spelling replaced by today's."""
        name, command, rest = super().resolve_command(ctx, args)
        negations = {
            option: param.secondary_opts[0]
            for param in getattr(command, "params", ())
            if param.secondary_opts
            for option in param.opts
        }
        return name, command, replace_words(rest, negations)


def replace_words(arguments: Sequence[str], negations: Mapping[str, str]) -> list[str]:
    """Arguments with `--option on` as `--option`, and `--option off` as its negation.

    Args:
        arguments: The words after the command's name. What follows `--` is left as it is.
        negations: Each boolean option with its negation, such as `--strict` with `--no-strict`.
    """
    replaced: list[str] = []
    remaining = list(arguments)
    while remaining and remaining[0] != "--":
        argument = remaining.pop(0)
        option, equals, word = argument.partition("=")
        if option not in negations or (equals and word not in {ON, OFF}):
            replaced.append(argument)
            continue
        if not equals and remaining and remaining[0] in {ON, OFF}:
            word = remaining.pop(0)
        replaced.append(negations[option] if word == OFF else option)
    return replaced + remaining
