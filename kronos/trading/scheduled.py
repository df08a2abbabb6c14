"""What is on its way or will come at a time: commands to the venue, reports back, timers of strategies.

Rule 1: it is core state, in the order of (time, kind, number): commands arrive before reports, reports before timers.
Rule 2: every entry comes from a record and leaves with one, so that a fold of the records knows it too.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from kronos.errors import TransitionError
from kronos.trading.events import (
    Arrived,
    CommandTravels,
    InstrumentDelisted,
    InstrumentListed,
    Report,
    ReportTravels,
    StrategyStopped,
    TimerFired,
    TimerSet,
)
from kronos.trading.positions import cause_id
from kronos.trading.terms import Terms

__all__ = ["APPLY", "COMMAND", "REPORT", "TIMER", "Schedule", "Scheduled"]

COMMAND, REPORT, TIMER = 1, 2, 3
"""Kinds of entries, in the order in which they come at one time."""


class Scheduled(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: at `time` (ns UTC), of `origin`, because of `cause`; what else it says depends on its `kind`."""

    time: int
    kind: int
    number: int
    origin: int
    cause: int
    order_id: int = 0
    action: str = ""
    quantity: int = 0
    terms: Terms | None = None
    name: str = ""
    report: Report | None = None


class Schedule(msgspec.Struct, kw_only=True):
    """The entries in their order, and the number of the next one."""

    entries: list[Scheduled] = []
    next_number: int = 1

    def put(self, **fields: Any) -> None:
        """Add an entry."""
        entry = Scheduled(number=self.next_number, **fields)
        self.next_number += 1
        insort(self.entries, entry, key=lambda each: (each.time, each.kind, each.number))

    def take(self, number: int) -> Scheduled:
        """Remove the first entry, which must have this `number`; raise `TransitionError` otherwise."""
        if not self.entries or self.entries[0].number != number:
            raise TransitionError(f"entry {number} is not the next that is due", number=number)
        return self.entries.pop(0)


class _State(Protocol):
    schedule: Schedule
    stopped: list[int]
    unlisted: list[int]


def _timer(state: _State, record: TimerSet) -> None:
    state.schedule.put(time=record.at, kind=TIMER, origin=record.origin, cause=_cause(record), name=record.name)


def _command(state: _State, record: CommandTravels) -> None:
    state.schedule.put(
        time=record.at, kind=COMMAND, origin=record.origin, cause=_cause(record), order_id=record.order_id,
        action=record.action, quantity=record.quantity, terms=record.terms, name=record.reason,
    )  # fmt: skip


def _report(state: _State, record: ReportTravels) -> None:
    state.schedule.put(time=record.at, kind=REPORT, origin=record.origin, cause=_cause(record), report=record.report)


def _gone(state: _State, record: TimerFired | Arrived) -> None:
    state.schedule.take(record.number)


def _stopped(state: _State, record: StrategyStopped) -> None:
    state.stopped.append(record.origin)


def _listed(state: _State, record: InstrumentListed) -> None:
    if record.instrument in state.unlisted:
        state.unlisted.remove(record.instrument)


def _delisted(state: _State, record: InstrumentDelisted) -> None:
    if record.instrument not in state.unlisted:
        state.unlisted.append(record.instrument)


def _cause(record: Any) -> int:
    return cause_id(record.row, record.sub)


APPLY: Final[Mapping[type[Any], Callable[[Any, Any], None]]] = {
    TimerSet: _timer,
    CommandTravels: _command,
    ReportTravels: _report,
    TimerFired: _gone,
    Arrived: _gone,
    StrategyStopped: _stopped,
    InstrumentListed: _listed,
    InstrumentDelisted: _delisted,
}
"""How each record moves what will come, who is stopped, and what may be traded."""
