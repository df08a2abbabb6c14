"""Schedules that nobody can have added, and slots that no leader can have planned.

Rule 1: whatever `app.schedules.add` refuses is a fault where it stands.
Rule 2: a slot is planned when the one before it has passed: the next is never later than the first one after now.
Rule 3: zones are those of this machine; an input may fit any definition of its workflow that was ever registered.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from kronos.app.fsck.finding import Finding
from kronos.app.fsck.reading import Reader
from kronos.core.cron import Cron, parse_cron
from kronos.errors import InvalidInput, KronosError
from kronos.kernel import canonical
from kronos.kernel.schema import check_against

__all__ = ["ScheduleLine", "check_schedules", "faults_of_schedule"]

CLOCK: Final = timedelta(minutes=1)
_INSTANT: Final = timedelta(microseconds=1)


class ScheduleLine(NamedTuple):
    """A schedule's row, the last slot that was decided on, and the input schemas of its workflow, newest first."""

    id: int
    name: str
    cron: str
    zone: str
    workflow: str
    version: str | None
    input: bytes
    is_paused: bool
    next_at: datetime | None
    now: datetime
    last: datetime | None
    schemas: list[bytes]


def check_schedules(reader: Reader) -> Iterator[Finding]:
    """Yield every schedule whose row cannot be."""
    with reader.snapshot():
        for row in reader.stream("read_schedules"):
            schedule = ScheduleLine(*row)
            for what in faults_of_schedule(schedule):
                yield Finding(check="schedule", row=f"schedules: {schedule.id} {schedule.name!r}", what=what)


def faults_of_schedule(schedule: ScheduleLine) -> Iterator[str]:
    """Yield what is wrong with one schedule."""
    try:
        times = parse_cron(schedule.cron, schedule.zone)
    except InvalidInput as error:
        yield error.message
    else:
        yield from _slots(schedule, times)
    yield from _runs(schedule)


def _slots(schedule: ScheduleLine, times: Cron) -> Iterator[str]:
    next_at, coming = schedule.next_at, times.next_after(schedule.now + CLOCK)
    if next_at is None:
        if coming is not None:
            yield "it has no next slot, and its times name one"
        return
    if times.next_after(next_at - _INSTANT) != next_at:
        yield f"its next slot, {_told(next_at)}, is none that its times name"
    elif coming is not None and next_at > coming:
        yield f"its next slot, {_told(next_at)}, passes over {_told(coming)}"
    if schedule.last is not None and (next_at < schedule.last or (next_at == schedule.last and not schedule.is_paused)):
        yield f"its next slot, {_told(next_at)}, was decided on already"


def _runs(schedule: ScheduleLine) -> Iterator[str]:
    if not schedule.schemas:
        version = "" if schedule.version is None else f" in version {schedule.version!r}"
        yield f"its workflow {schedule.workflow!r} was never registered{version}"
        return
    try:
        canonical.decode(schedule.input)
    except KronosError:
        yield "its input is no JSON"
        return
    refusals = [_refusal(schema, schedule.input) for schema in schedule.schemas]
    if all(refusals):
        yield f"its input does not fit the workflow: {refusals[0]}"


def _told(slot: datetime) -> str:
    return slot.astimezone(UTC).isoformat()


def _refusal(schema: bytes, data: bytes) -> str:
    try:
        check_against(schema, data)
    except (KronosError, ValueError) as error:
        return str(error)
    return ""
