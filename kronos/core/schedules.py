"""What a schedule is, and which of its slots are fired when.

Rule 1: a slot is fired once, or it is missed for good: the next slot always lies after the last one that was planned.
Rule 2: what was due while nobody led is caught up as the schedule says: the latest of it, all of it, or nothing.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from kronos.core.cron import Cron, parse_cron
from kronos.errors import InvalidInput

__all__ = ["CATCH_UP_MAX", "CatchUp", "Overlap", "Plan", "Schedule", "check_choice", "delay_of", "plan"]

CatchUp: TypeAlias = Literal["latest", "all", "none"]
Overlap: TypeAlias = Literal["allow", "skip", "cancel_previous"]

CATCH_UP_MAX: Final = 100
"""Slots fired in one turn; what is beyond is fired in the next."""
SCAN_MAX: Final = 10_000
"""Slots looked at in one turn, to find the latest."""
LATE: Final = timedelta(seconds=60)
"""A slot that is later than this was missed."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A standing order for runs.  `input` is canonical JSON; `version` None means the one registered last."""

    id: int
    name: str
    cron: str
    zone: str
    workflow: str
    version: str | None
    input: bytes
    catch_up: CatchUp
    overlap: Overlap
    jitter_s: float
    timeout_s: float | None
    created_at: datetime
    paused_at: datetime | None
    next_at: datetime | None

    @property
    def times(self) -> Cron:
        """Its slots; raise `InvalidInput` where this machine does not know its zone."""
        return parse_cron(self.cron, self.zone)


class Plan(NamedTuple):
    """Slots to fire now, oldest first; how many were missed for good; and the one to wait for."""

    fire: list[datetime]
    missed: int
    next_at: datetime | None


def plan(schedule: Schedule, now: datetime) -> Plan:
    """Return what a schedule whose next slot is due does at `now`."""
    assert schedule.next_at is not None, "a schedule without a next slot is not due"
    times, first = schedule.times, schedule.next_at
    if schedule.catch_up == "all":
        due = [first, *times.slots(first, now, CATCH_UP_MAX - 1)]
        return Plan(due, 0, times.next_after(due[-1]))
    count, last = 1, first
    while count < SCAN_MAX and (slot := times.next_after(last)) is not None and slot <= now:
        count, last = count + 1, slot
    is_missed = count == SCAN_MAX or (schedule.catch_up == "none" and last < now - LATE)
    fire = [] if is_missed else [last]
    return Plan(fire, count - len(fire), times.next_after(last))


def delay_of(schedule: Schedule, slot: datetime) -> timedelta:
    """Return the jitter of a slot: from 0 up to `jitter_s`, the same whenever it is asked for."""
    digest = hashlib.blake2b(f"{schedule.id}/{slot.isoformat()}".encode(), digest_size=8).digest()
    return timedelta(seconds=schedule.jitter_s * int.from_bytes(digest) / 2**64)


def check_choice(field: str, value: str, choices: object) -> str:
    """Return `value`; raise `InvalidInput` naming `field` when it is none of the choices."""
    known = get_args(choices)
    if value not in known:
        raise InvalidInput(f"{field} {value!r} is unknown: give one of {', '.join(known)}", field=field, value=value)
    return value
