from datetime import date

import pytest

from ledgerly.dates import Period, parse_date


@pytest.mark.parametrize(
    "text", ["2024-03-09", "09.03.2024", " 2024-03-09 "], ids=["iso", "dotted", "blanks"]
)
def test_parse_date(text):
    assert parse_date(text) == date(2024, 3, 9)


def test_parse_date_refuses_others():
    with pytest.raises(ValueError, match="not a date"):
        parse_date("March 9")


def test_month_runs_from_first_to_last_day():
    assert Period.month(2024, 2) == Period(date(2024, 2, 1), date(2024, 2, 29))


def test_year_runs_from_first_to_last_day():
    assert Period.year(2023) == Period(date(2023, 1, 1), date(2023, 12, 31))


def test_contains():
    march = Period.month(2024, 3)
    assert date(2024, 3, 1) in march
    assert date(2024, 3, 15) in march
    assert date(2024, 2, 29) not in march
    assert date(2024, 4, 1) not in march


def test_months_of_a_year():
    months = Period.year(2024).months()
    assert len(months) == 12
    assert months[-1] == Period.month(2024, 12)


def test_months_across_new_year():
    months = Period(date(2023, 11, 20), date(2024, 1, 3)).months()
    assert [month.start for month in months] == [
        date(2023, 11, 1),
        date(2023, 12, 1),
        date(2024, 1, 1),
    ]
