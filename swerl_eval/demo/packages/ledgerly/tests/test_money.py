from decimal import Decimal

import pytest

from ledgerly.money import CurrencyError, Money, total


@pytest.mark.parametrize(
    ("text", "cents"),
    [("12.50", 1250), ("-3", -300), (" 1,200.05 ", 120005), ("0", 0)],
    ids=["plain", "negative", "thousands", "zero"],
)
def test_parse(text, cents):
    assert Money.parse(text).cents == cents


def test_parse_refuses_words():
    with pytest.raises(ValueError, match="not an amount"):
        Money.parse("ten")


def test_rounds_to_cents():
    assert Money(Decimal("1.005")) == Money(Decimal("1.00"))


def test_arithmetic():
    five, two = Money.from_cents(500), Money.from_cents(200)
    assert five - two == Money.from_cents(300)
    assert -five + two == Money.from_cents(-300)


def test_currencies_do_not_mix():
    with pytest.raises(CurrencyError):
        Money.from_cents(1, "EUR") + Money.from_cents(1, "CHF")


def test_total_of_nothing():
    assert total([]) == Money.from_cents(0)


def test_text_form():
    assert str(Money.from_cents(-123456, "CHF")) == "-1,234.56 CHF"


def test_allocate_gives_the_odd_cents_to_the_first():
    shares = Money.from_cents(1000).allocate(3)
    assert [share.cents for share in shares] == [334, 333, 333]


def test_allocate_without_rest():
    assert [share.cents for share in Money.from_cents(-900).allocate(3)] == [-300] * 3


def test_allocate_keeps_the_currency():
    assert Money.from_cents(5, "CHF").allocate(2)[1].currency == "CHF"


def test_allocate_needs_a_part():
    with pytest.raises(ValueError):
        Money.from_cents(5).allocate(0)
