"""When a market is open, by day: what turns a missing bar into an expected one.

Rule: a calendar is a rule over days (days since 1970-01-01, UTC), computed, never downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

__all__ = ["CALENDARS", "is_session"]

_EPOCH: Final = date(1970, 1, 1)
_MONDAY, _THURSDAY, _SATURDAY, _SUNDAY = 0, 3, 5, 6

_CLOSED_ONCE: Final = frozenset(
    date(*day)
    for day in [
        (1994, 4, 27), (2001, 9, 11), (2001, 9, 12), (2001, 9, 13), (2001, 9, 14), (2004, 6, 11), (2007, 1, 2),
        (2012, 10, 29), (2012, 10, 30), (2018, 12, 5), (2025, 1, 9),
    ]
)  # fmt: skip
"""Days on which the New York Stock Exchange was closed by decision: mourning, attack, hurricane."""


def is_session(calendar: str, day: int) -> bool:
    """Return whether `calendar` (a key of `CALENDARS`) trades on `day` (days since 1970-01-01)."""
    return CALENDARS[calendar](day)


def _always(day: int) -> bool:
    del day
    return True


def _weekdays(day: int) -> bool:
    return (day + _THURSDAY) % 7 < _SATURDAY


def _us_equity(day: int) -> bool:
    if not _weekdays(day):
        return False
    when = _EPOCH + timedelta(days=day)
    return when not in _CLOSED_ONCE and when not in _nyse_holidays(when.year)


CALENDARS: Final[dict[str, Callable[[int], bool]]] = {
    "24x7": _always,
    "weekdays": _weekdays,
    "us-equity": _us_equity,
}


@lru_cache(maxsize=256)
def _nyse_holidays(year: int) -> frozenset[date]:
    """Return the regular full-day holidays of the NYSE (Rule 7.2), as observed in `year`."""
    days = [
        _nth(year, 2, _MONDAY, 3),
        _good_friday(year),
        _last_monday(year, 5),
        _observed(date(year, 7, 4)),
        _nth(year, 9, _MONDAY, 1),
        _nth(year, 11, _THURSDAY, 4),
        _observed(date(year, 12, 25)),
    ]
    new_year = date(year, 1, 1)
    if new_year.weekday() != _SATURDAY:
        days.append(_observed(new_year))
    if year >= 1998:
        days.append(_nth(year, 1, _MONDAY, 3))
    if year >= 2022:
        days.append(_observed(date(year, 6, 19)))
    return frozenset(days)


def _observed(day: date) -> date:
    shift = {_SATURDAY: -1, _SUNDAY: 1}.get(day.weekday(), 0)
    return day + timedelta(days=shift)


def _nth(year: int, month: int, weekday: int, count: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (count - 1))


def _last_monday(year: int, month: int) -> date:
    last = date(year, month, 31)
    return last - timedelta(days=last.weekday())


def _good_friday(year: int) -> date:
    """Return the Friday before Easter (Meeus, Jones and Butcher; Gregorian)."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    length = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * length) // 451
    month, day = divmod(h + length - 7 * m + 114, 31)
    return date(year, month, day + 1) - timedelta(days=2)
