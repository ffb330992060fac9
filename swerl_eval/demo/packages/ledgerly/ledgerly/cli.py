"""The `ledgerly` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ledgerly.importer import read_csv
from ledgerly.ledger import Ledger
from ledgerly.reports import balance_report, monthly_report


def build_parser() -> argparse.ArgumentParser:
    """The sub-commands and their options."""
    parser = argparse.ArgumentParser(prog="ledgerly", description="Reports of a journal.")
    commands = parser.add_subparsers(dest="command", required=True)
    balance = commands.add_parser("balance", help="the balance of each account")
    monthly = commands.add_parser("monthly", help="income and expenses by month")
    monthly.add_argument("--year", type=int, help="default: the last year of the journal")
    for command in (balance, monthly):
        command.add_argument("journal", type=Path, help="a CSV file")
        command.add_argument("--currency", default="EUR")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = build_parser().parse_args(argv)
    try:
        text = options.journal.read_text(encoding="utf-8")
        ledger = Ledger(read_csv(text, options.currency), options.currency)
    except (OSError, ValueError) as error:
        print(f"ledgerly: {error}", file=sys.stderr)
        return 1
    if options.command == "balance":
        print(balance_report(ledger))
        return 0
    year = options.year or max(ledger.years(), default=None)
    if year is None:
        print("ledgerly: the journal is empty", file=sys.stderr)
        return 1
    print(monthly_report(ledger, year))
    return 0
