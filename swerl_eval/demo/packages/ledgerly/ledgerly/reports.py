"""The reports: balances of all accounts, and a summary by month."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ledgerly.accounts import depth
from ledgerly.dates import Period
from ledgerly.formatting import table
from ledgerly.ledger import Ledger
from ledgerly.money import Money


@dataclass(frozen=True)
class MonthSummary:
    """What came in and what went out in one month."""

    period: Period
    income: Money
    expenses: Money

    @property
    def saved(self) -> Money:
        """What is left of the income."""
        return self.income - self.expenses


def monthly_summary(ledger: Ledger, year: int) -> list[MonthSummary]:
    """Sum up each month of a year."""
    zero = Money(Decimal(0), ledger.currency)
    summaries = []
    for period in Period.year(year).months():
        balances = ledger.in_period(period).balances()
        # income lowers an income account, so its sign is turned round
        income = -balances.get("Income", zero)
        expenses = balances.get("Expenses", zero)
        summaries.append(MonthSummary(period, income, expenses))
    return summaries


def balance_report(ledger: Ledger) -> str:
    """The balances as text, with accounts indented below their parent."""
    rows = [
        ("  " * depth(name) + name.rsplit(":", 1)[-1], str(balance))
        for name, balance in ledger.balances().items()
    ]
    return table(("Account", "Balance"), rows)


def monthly_report(ledger: Ledger, year: int) -> str:
    """The summary of a year as text; months without any change are left out."""
    rows = [
        (
            summary.period.start.strftime("%Y-%m"),
            str(summary.income),
            str(summary.expenses),
            str(summary.saved),
        )
        for summary in monthly_summary(ledger, year)
        if summary.income or summary.expenses
    ]
    return table(("Month", "Income", "Expenses", "Saved"), rows)
