"""Amounts of money, exact to the cent."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

_CENT = Decimal("0.01")


class CurrencyError(ValueError):
    """Two amounts of different currencies were put together."""


@dataclass(frozen=True)
class Money:
    """An amount in one currency; it is rounded to whole cents."""

    amount: Decimal
    currency: str = "EUR"

    def __post_init__(self) -> None:
        rounded = self.amount.quantize(_CENT, rounding=ROUND_HALF_EVEN)
        object.__setattr__(self, "amount", rounded)

    @classmethod
    def parse(cls, text: str, currency: str = "EUR") -> Money:
        """Read an amount such as `12.50` or `-1,200.00`."""
        try:
            return cls(Decimal(text.strip().replace(",", "")), currency)
        except InvalidOperation:
            raise ValueError(f"not an amount: {text!r}") from None

    @classmethod
    def from_cents(cls, cents: int, currency: str = "EUR") -> Money:
        """Make an amount from a whole number of cents."""
        return cls(Decimal(cents) * _CENT, currency)

    @property
    def cents(self) -> int:
        """The amount as a whole number of cents."""
        return int(self.amount / _CENT)

    def allocate(self, parts: int) -> list[Money]:
        """Split the amount into shares which differ by one cent at the most."""
        if parts < 1:
            raise ValueError("an amount is split into one part at least")
        share = int(self.cents / parts)
        left = self.cents - share * parts
        return [
            Money.from_cents(share + (1 if index < left else 0), self.currency)
            for index in range(parts)
        ]

    def _same_currency(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyError(f"{self.currency} and {other.currency}")

    def __add__(self, other: Money) -> Money:
        self._same_currency(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same_currency(other)
        return Money(self.amount - other.amount, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __bool__(self) -> bool:
        return bool(self.amount)

    def __str__(self) -> str:
        return f"{self.amount:,.2f} {self.currency}"


def total(amounts: list[Money], currency: str = "EUR") -> Money:
    """The sum of some amounts, zero if there are none."""
    result = Money(Decimal(0), currency)
    for amount in amounts:
        result = result + amount
    return result
