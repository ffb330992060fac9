"""Dates of a journal and the periods that reports are made for."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, datetime

_FORMATS = ("%Y-%m-%d", "%d.%m.%Y")


def parse_date(text: str) -> date:
    """Read a date in one of the formats that a journal may use."""
    for form in _FORMATS:
        try:
            return datetime.strptime(text.strip(), form).date()
        except ValueError:
            continue
    raise ValueError(f"not a date: {text!r}")


@dataclass(frozen=True)
class Period:
    """The days from `start` to `end`; `end` is the last day of the period."""

    start: date
    end: date

    @classmethod
    def month(cls, year: int, month: int) -> Period:
        """One calendar month."""
        last_day = calendar.monthrange(year, month)[1]
        return cls(date(year, month, 1), date(year, month, last_day))

    @classmethod
    def year(cls, year: int) -> Period:
        """One calendar year."""
        return cls(date(year, 1, 1), date(year, 12, 31))

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end

    def months(self) -> list[Period]:
        """The calendar months that the period touches."""
        found = []
        year, month = self.start.year, self.start.month
        while (year, month) <= (self.end.year, self.end.month):
            found.append(Period.month(year, month))
            year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        return found
