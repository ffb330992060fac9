import pytest

from ledgerly.cli import main

JOURNAL = """\
date,description,account,contra,amount
2024-01-02,Salary,Assets:Bank,Income:Job,2000.00
2024-01-20,Groceries,Expenses:Food,Assets:Bank,55.50
"""


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "journal.csv"
    path.write_text(JOURNAL, encoding="utf-8")
    return str(path)


def test_balance(journal, capsys):
    assert main(["balance", journal]) == 0
    assert "1,944.50 EUR" in capsys.readouterr().out


def test_monthly_uses_the_last_year(journal, capsys):
    assert main(["monthly", journal]) == 0
    assert "2024-01" in capsys.readouterr().out


def test_missing_journal(tmp_path, capsys):
    assert main(["balance", str(tmp_path / "none.csv")]) == 1
    assert capsys.readouterr().err.startswith("ledgerly: ")


def test_command_is_required():
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
