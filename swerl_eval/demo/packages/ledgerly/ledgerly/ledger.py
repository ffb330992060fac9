"""A ledger: transactions in the order of their days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from ledgerly.accounts import ancestors
from ledgerly.dates import Period
from ledgerly.entries import Transaction
from ledgerly.money import Money


class Ledger:
    """Some transactions, and the balances that follow from them."""

    def __init__(self, transactions: Iterable[Transaction] = (), currency: str = "EUR") -> None:
        self.currency = currency
        self._transactions = sorted(transactions, key=lambda entry: entry.day)

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self._transactions)

    def __len__(self) -> int:
        return len(self._transactions)

    def in_period(self, period: Period) -> Ledger:
        """A ledger of the transactions of a period only."""
        return Ledger((entry for entry in self if entry.day in period), self.currency)

    def years(self) -> list[int]:
        """The years that have a transaction."""
        return sorted({entry.day.year for entry in self})

    def balances(self) -> dict[str, Money]:
        """The balance of each account, what is below it included."""
        zero = Money(Decimal(0), self.currency)
        sums: dict[str, Money] = {}
        for entry in self:
            for posting in entry.postings:
                for name in ancestors(posting.account):
                    sums[name] = sums.get(name, zero) + posting.amount
        return dict(sorted(sums.items()))
