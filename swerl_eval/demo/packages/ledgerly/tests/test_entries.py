from datetime import date

import pytest

from ledgerly.accounts import AccountError, ancestors
from ledgerly.entries import Posting, Transaction, UnbalancedError, split_evenly, transfer
from ledgerly.importer import JournalError, read_csv
from ledgerly.money import Money

DAY = date(2024, 3, 1)
HEADER = "date,description,account,contra,amount\n"


def test_transfer_balances():
    entry = transfer(DAY, "Lunch", "Expenses:Food", "Assets:Cash", Money.from_cents(900))
    assert [posting.amount.cents for posting in entry.postings] == [900, -900]


def test_unbalanced_transaction_is_refused():
    one = Posting("Assets:Cash", Money.from_cents(1))
    with pytest.raises(UnbalancedError, match="0.02 EUR is left over"):
        Transaction(DAY, "Odd", (one, one))


def test_single_posting_is_refused():
    with pytest.raises(UnbalancedError, match="fewer than two"):
        Transaction(DAY, "Odd", (Posting("Assets:Cash", Money.from_cents(0)),))


def test_split_evenly():
    entry = split_evenly(
        DAY, "Rent", ["Expenses:Flat", "Expenses:Office"], "Assets:Bank", Money.from_cents(1001)
    )
    assert [posting.amount.cents for posting in entry.postings] == [501, 500, -1001]


def test_account_names_are_checked():
    with pytest.raises(AccountError):
        Posting("Savings:Bank", Money.from_cents(1))
    with pytest.raises(AccountError):
        Posting("Assets::Bank", Money.from_cents(1))


def test_ancestors():
    assert list(ancestors("Assets:Bank:Giro")) == ["Assets", "Assets:Bank", "Assets:Bank:Giro"]


def test_import_one_row():
    (entry,) = read_csv(HEADER + '01.03.2024,Salary,Assets:Bank,Income:Job,"2,500.00"\n')
    assert entry.day == DAY
    assert entry.postings[0] == Posting("Assets:Bank", Money.from_cents(250000))


def test_import_shared_row():
    (entry,) = read_csv(HEADER + "2024-03-01,Meal,Expenses:A|Expenses:B,Assets:Cash,9.01\n")
    assert [posting.amount.cents for posting in entry.postings] == [451, 450, -901]


def test_import_names_the_bad_line():
    with pytest.raises(JournalError, match="line 2: not an amount"):
        read_csv(HEADER + "2024-03-01,Meal,Expenses:A,Assets:Cash,much\n")


def test_import_needs_all_columns():
    with pytest.raises(JournalError, match="no column contra, amount"):
        read_csv("date,description,account\n")
