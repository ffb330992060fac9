from datetime import date

from ledgerly.dates import Period
from ledgerly.importer import read_csv
from ledgerly.ledger import Ledger
from ledgerly.money import Money
from ledgerly.reports import balance_report, monthly_report, monthly_summary

JOURNAL = """\
date,description,account,contra,amount
2024-02-10,Shoes,Expenses:Clothes,Assets:Bank,80.00
2024-01-02,Salary,Assets:Bank,Income:Job,2000.00
2024-02-01,Salary,Assets:Bank,Income:Job,2000.00
2024-01-20,Groceries,Expenses:Food,Assets:Bank,55.50
"""


def ledger():
    return Ledger(read_csv(JOURNAL))


def test_transactions_are_sorted():
    days = [entry.day for entry in ledger()]
    assert days == sorted(days)
    assert days[0] == date(2024, 1, 2)


def test_balances_include_what_is_below():
    balances = ledger().balances()
    assert balances["Expenses"] == Money.parse("135.50")
    assert balances["Expenses:Food"] == Money.parse("55.50")
    assert balances["Assets:Bank"] == Money.parse("3864.50")


def test_in_period():
    assert len(ledger().in_period(Period.month(2024, 2))) == 2


def test_years():
    assert ledger().years() == [2024]


def test_monthly_summary():
    january, february = monthly_summary(ledger(), 2024)[:2]
    assert january.income == Money.parse("2000")
    assert january.expenses == Money.parse("55.50")
    assert february.saved == Money.parse("1920")


def test_monthly_report_leaves_out_quiet_months():
    lines = monthly_report(ledger(), 2024).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["2024-01", "2024-02"]


def test_balance_report_is_indented():
    lines = balance_report(ledger()).splitlines()
    assert lines[0].split() == ["Account", "Balance"]
    assert lines[2].startswith("Assets ")
    assert lines[3].startswith("  Bank ")
