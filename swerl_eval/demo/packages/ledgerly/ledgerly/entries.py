"""Transactions and the postings that they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ledgerly.accounts import check_account
from ledgerly.money import Money, total


class UnbalancedError(ValueError):
    """The postings of a transaction do not add up to zero."""


@dataclass(frozen=True)
class Posting:
    """A change of one account."""

    account: str
    amount: Money

    def __post_init__(self) -> None:
        object.__setattr__(self, "account", check_account(self.account))


@dataclass(frozen=True)
class Transaction:
    """Postings of one day which add up to zero."""

    day: date
    description: str
    postings: tuple[Posting, ...]

    def __post_init__(self) -> None:
        if len(self.postings) < 2:
            raise UnbalancedError(f"{self.description}: fewer than two postings")
        currency = self.postings[0].amount.currency
        rest = total([posting.amount for posting in self.postings], currency)
        if rest:
            raise UnbalancedError(f"{self.description}: {rest} is left over")


def transfer(day: date, description: str, account: str, contra: str, amount: Money) -> Transaction:
    """Move an amount to `account` from `contra`."""
    postings = (Posting(account, amount), Posting(contra, -amount))
    return Transaction(day, description, postings)


def split_evenly(
    day: date, description: str, accounts: Sequence[str], contra: str, amount: Money
) -> Transaction:
    """Move equal shares of an amount to some accounts, all from `contra`."""
    shares = amount.allocate(len(accounts))
    postings = [Posting(name, share) for name, share in zip(accounts, shares)]
    postings.append(Posting(contra, -amount))
    return Transaction(day, description, tuple(postings))
