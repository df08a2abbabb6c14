"""A stored row as the event that it is in a history, which may be a fork's.

Rule: where a fork begins inside a row that stands for several facts, its history holds the prefix of that row, and the
chain goes on from the prefix's own head.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kronos.core.events import Event, encode_facts, read_event, truncate
from kronos.errors import CorruptHistory
from kronos.kernel.ids import RunId

__all__ = ["StoredEvent", "corrupt", "read_stored"]


class StoredEvent(NamedTuple):
    """One row: the event, the bytes of its facts, and the head after it as on record."""

    event: Event
    body: bytes
    hash: bytes


def read_stored(run_id: RunId, row: tuple[Any, ...]) -> StoredEvent:
    """Return a row of `read_events`, cut where the part ends that a fork shares; raise `CorruptHistory`."""
    try:
        event = read_event(*row[:7])
    except CorruptHistory as error:
        raise corrupt(run_id, row[0], f"the event at seq {row[0]} cannot be read: {error.message}") from error
    if event.seq <= row[8]:
        return StoredEvent(event, body=row[6], hash=row[7])
    shared = truncate(event, row[8])
    return StoredEvent(shared, body=encode_facts(shared.facts), hash=row[9])


def corrupt(run_id: RunId, seq: int, what: str) -> CorruptHistory:
    """Return the error that names run and seq."""
    return CorruptHistory(f"run {run_id}: {what}", run_id=run_id, seq=seq)
