"""Account names such as `Expenses:Food:Lunch`."""

from __future__ import annotations

from collections.abc import Iterator

ROOTS = ("Assets", "Liabilities", "Equity", "Income", "Expenses")


class AccountError(ValueError):
    """An account name that cannot be used."""


def check_account(name: str) -> str:
    """Return the name without outer blanks, or say what is wrong with it."""
    name = name.strip()
    parts = name.split(":")
    if parts[0] not in ROOTS:
        raise AccountError(f"unknown kind of account: {name!r}")
    if not all(part.strip() for part in parts):
        raise AccountError(f"empty part in account name: {name!r}")
    return name


def kind(name: str) -> str:
    """The first part of a name, which says how the account is reported."""
    return name.split(":", 1)[0]


def ancestors(name: str) -> Iterator[str]:
    """The account and all accounts above it, the topmost first."""
    parts = name.split(":")
    for length in range(1, len(parts) + 1):
        yield ":".join(parts[:length])


def depth(name: str) -> int:
    """How far below its topmost account a name is."""
    return name.count(":")
