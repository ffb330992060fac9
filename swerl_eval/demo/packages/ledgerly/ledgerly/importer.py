"""Read a journal in CSV form."""

from __future__ import annotations

import csv
import io

from ledgerly.dates import parse_date
from ledgerly.entries import Transaction, split_evenly, transfer
from ledgerly.money import Money

COLUMNS = ("date", "description", "account", "contra", "amount")


class JournalError(ValueError):
    """A row of a journal that cannot be used; it says which row."""


def read_csv(text: str, currency: str = "EUR") -> list[Transaction]:
    """Read all rows; the order of the columns does not matter."""
    rows = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or [])]
    if missing:
        raise JournalError(f"no column {', '.join(missing)}")
    transactions = []
    for row in rows:
        try:
            transactions.append(_transaction(row, currency))
        except ValueError as error:
            raise JournalError(f"line {rows.line_num}: {error}") from error
    return transactions


def _transaction(row: dict[str, str], currency: str) -> Transaction:
    """Make one transaction; several accounts, parted by `|`, share the amount."""
    day = parse_date(row["date"])
    amount = Money.parse(row["amount"], currency)
    accounts = row["account"].split("|")
    if len(accounts) == 1:
        return transfer(day, row["description"], accounts[0], row["contra"], amount)
    return split_evenly(day, row["description"], accounts, row["contra"], amount)
