"""Cron: which instants an expression names in a time zone.

Rule 1: a slot is an instant.  An expression with fixed hours speaks of wall clocks: a time that the zone skips is
        taken as if the clock had not been set forward (02:30 becomes 03:30), one that happens twice counts the first
        time.  One whose hour is a wildcard speaks of intervals: it fires in both hours, and not in the skipped one.
Rule 2: whatever is wrong with an expression is refused with the field that holds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from croniter import CroniterBadDateError, CroniterError, croniter

from kronos.errors import InvalidInput
from kronos.kernel.texts import check_text

__all__ = ["Cron", "parse_cron"]

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS: Final = {
    "second": "0 to 59",
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day of the month": "1 to 31",
    "month": "1 to 12 or jan to dec",
    "day of the week": "0 to 7 or sun to sat",
}
_MONTH: Final = 4
_WEEKDAY: Final = 5
_MONTHS: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_PART: Final = r"(\*|(\d+|[a-z]{3})(-(\d+|[a-z]{3}))?)(/\d+)?"
_FIELD: Final = re.compile(f"{_PART}(,{_PART})*", re.IGNORECASE)
_MACHINES_OWN: Final = frozenset({"localtime", "posixrules"})
"""Files beside the zones that mean another zone on each machine."""
_DAY: Final = timedelta(days=1)
_SHIFT_MAX: Final = timedelta(hours=3)
"""No zone has set its clocks by more since 1972, but for days that were skipped whole."""


class Cron(msgspec.Struct, frozen=True, dict=True):
    """An expression of five fields, or six with seconds first, in an IANA zone; made by `parse_cron`."""

    text: str
    zone: str

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first slot after `instant` (aware), in UTC; None when there is none in the next fifty years."""
        local = instant.astimezone(self._zone).replace(tzinfo=None)
        found: datetime | None = None
        until: datetime | None = None
        for naive in self._naive_after(local - self._shift_near(instant)):
            if until is not None and naive > until:
                break
            for slot in self._instants(naive):
                if slot > instant and (found is None or slot < found):
                    found = slot
            if found is not None and until is None:
                until = naive + self._shift_near(found)
        return found

    def slots(self, after: datetime, upto: datetime, limit: int) -> list[datetime]:
        """Return the slots in (after, upto], oldest first, at most `limit`."""
        found: list[datetime] = []
        while len(found) < limit and (slot := self.next_after(after)) is not None and slot <= upto:
            found.append(slot)
            after = slot
        return found

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @cached_property
    def _fields(self) -> list[str]:
        return _fields_of(self.text)

    @cached_property
    def _is_interval(self) -> bool:
        return self._fields[2].startswith("*")

    def _naive_after(self, start: datetime) -> Iterator[datetime]:
        times = croniter(" ".join(self._fields), start, ret_type=datetime, second_at_beginning=True)
        while True:
            try:
                yield times.get_next(datetime)
            except CroniterBadDateError:
                return

    def _instants(self, naive: datetime) -> list[datetime]:
        first, second = (naive.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if not self._is_interval or first == second:
            return [first]
        return [] if second < first else [first, second]  # a skipped time reads earlier with the later offset

    def _shift_near(self, instant: datetime) -> timedelta:
        before, after = ((instant + by).astimezone(self._zone).utcoffset() for by in (-_DAY, _DAY))
        assert before is not None, "a zone has an offset"
        assert after is not None, "a zone has an offset"
        return min(abs(after - before), _SHIFT_MAX)


def parse_cron(text: str, zone: str) -> Cron:
    """Return the expression; raise `InvalidInput` naming the field that cannot be used."""
    _check_zone(check_text(zone, "zone"))
    fields = _fields_of(check_text(text, "cron"))
    for position, (name, field) in enumerate(zip(_FIELDS, fields, strict=True)):
        _check_field(text, fields, position, name, field)
    cron = Cron(text, zone)
    if next(cron._naive_after(datetime(2024, 1, 1)), None) is None:  # noqa: SLF001, DTZ001 - one room
        raise InvalidInput(f"cron {text!r} names no day that exists", field="cron", value=text)
    return cron


def _check_zone(zone: str) -> None:
    try:
        if zone.lower() not in _MACHINES_OWN:
            ZoneInfo(zone)
            return
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise InvalidInput(
        f"zone {zone!r} is no IANA time zone: write it as Europe/Zurich or UTC", field="zone", value=zone
    )


def _check_field(text: str, fields: list[str], position: int, name: str, field: str) -> None:
    if _is_known(field, position, len(fields)):
        return
    place = position if len(text.split()) == 5 else position + 1
    raise InvalidInput(
        f"cron {text!r}: field {place}, the {name}, is {field!r}: "
        f"give {_FIELDS[name]}, a list (1,2), a range (1-5, never backwards), a step (*/5) or *",
        field="cron",
        value=text,
        position=place,
    )


def _is_known(field: str, position: int, count: int) -> bool:
    if any(_is_backwards(part, position) for part in field.split(",")):
        return False
    alone = ["*"] * count
    alone[position] = field
    if not _FIELD.fullmatch(field):
        return False
    try:
        croniter.expand(" ".join(alone), second_at_beginning=True)
    except (CroniterError, ValueError, KeyError, AttributeError):
        return False
    return True


def _is_backwards(part: str, position: int) -> bool:
    """Tell whether a range ends before it begins; a week may end on its Sunday."""
    first, _, last = part.lower().partition("/")[0].partition("-")
    if not last:
        return False
    end = 7 if position == _WEEKDAY and last in ("0", "sun") else _number(last, position)
    return _number(first, position) > end


def _number(text: str, position: int) -> int:
    names = {_MONTH: _MONTHS, _WEEKDAY: _WEEKDAYS}.get(position, [])
    if text in names:
        return names.index(text) + (position == _MONTH)
    return int(text) if text.isdigit() else -1  # what is neither is refused by croniter


def _fields_of(text: str) -> list[str]:
    fields = ALIASES.get(text.strip().lower(), text).split()
    if len(fields) == 5:
        return ["0", *fields]
    if len(fields) == 6:
        return fields
    raise InvalidInput(
        f"cron {text!r} has {len(fields)} fields: five are needed (minute hour day month weekday), or six with seconds "
        f"first, or one of {', '.join(ALIASES)}",
        field="cron",
        value=text,
    )
