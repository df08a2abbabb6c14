"""What waits for a flush, and which flushes are under way.

Rule 1: a run has rows in at most one flush under way: two flushes never race for one history.
Rule 2: at most FLUSHES_MAX flushes are under way: Python computes while Postgres commits, and memory is bounded.
Rule 3: with none under way a flush leaves at once if anybody waits for it; rows that only tell of a beginning linger a
        moment for the first outcome, and go with it.  (A run of one short step then costs one commit, not two.)
Rule 4: with one under way the next waits until it is worth a transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from kronos.engine.conversation import FOREVER_NS
from kronos.engine.owned import OwnedRun
from kronos.engine.runlog import HEAD_EVERY, Beside, Buffer
from kronos.ports.queue import Flush, Parked

__all__ = ["FLUSHES_MAX", "Gathering"]

FLUSHES_MAX: Final = 2
FLUSH_ROWS_MIN: Final = 256
"""With a flush under way, the next one waits until it has this many rows."""
FLUSH_ROWS_MAX: Final = 2_000
LINGER_S: Final = 0.002


class Gathering:
    """Belongs to the owner loop."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._runs: dict[OwnedRun, None] = {}
        self._rows = 0
        self._leaves_at: float | None = None
        """When what nobody waits for has lingered long enough."""
        self._number = 0
        self._under_way: set[int] = set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self._runs and not self._under_way

    def add(self, run: OwnedRun) -> None:
        """Note what `run` has to write, if it has; what it buffers during a flush follows when that is settled."""
        if run.flushing:
            return
        buffer = run.log.buffer
        sleeps = run.asleep_until() is not None
        if buffer.has_something or sleeps:
            self._runs[run] = None
            self._rows += 1
            if sleeps or buffer.is_awaited:
                self._leaves_at = 0.0
            elif self._leaves_at is None:
                self._leaves_at = self._monotonic_s() + LINGER_S

    def wait_s(self, most: float) -> float:
        """Return the seconds until something has lingered long enough, at most `most`."""
        if self._leaves_at is None or self._under_way or not self._runs:
            return most
        return min(most, max(0.0, self._leaves_at - self._monotonic_s()))

    def discard(self, run: OwnedRun) -> None:
        """Write nothing more of `run`."""
        self._runs.pop(run, None)

    def next(self) -> tuple[Flush, list[tuple[OwnedRun, Buffer]]] | None:
        """Return a flush that should leave now, None where none should."""
        busy = len(self._under_way)
        if not self._runs or busy >= FLUSHES_MAX or (busy and self._rows < FLUSH_ROWS_MIN):
            return None
        if not busy and self._leaves_at and self._monotonic_s() < self._leaves_at:
            return None
        self._number += 1
        self._under_way.add(self._number)
        flush = Flush(self._number, acknowledged=min(self._under_way) - 1)
        members: list[tuple[OwnedRun, Buffer]] = []
        for run in self._runs:
            members.append((run, _take(run, flush)))
            if len(flush.rows) >= FLUSH_ROWS_MAX:
                break
        for run, _ in members:
            del self._runs[run]
        self._rows = max(0, self._rows - len(flush.rows)) if self._runs else 0
        self._leaves_at = 0.0 if self._runs else None
        return flush, members

    def settled(self, flush: Flush) -> None:
        """Say that the store has answered `flush`."""
        self._under_way.discard(flush.number)


def _take(run: OwnedRun, flush: Flush) -> Buffer:
    """Move what `run` has buffered into `flush`."""
    buffer = run.log.take()
    run.flushing = True
    flush.rows += buffer.rows
    if buffer.has_beside:
        _take_beside(run, buffer.beside, flush)
    if buffer.ended is not None:
        flush.ended.append(buffer.ended)
        if buffer.drained:
            flush.noted.append(run.log.head_before_end())  # it counts where the end is refused
    elif (wake := run.asleep_until()) is not None:
        buffer.parked = run.parking = True
        flush.parked.append(Parked(run.log.head_now(), None if wake == FOREVER_NS else wake, run.claimed.claims))
    elif buffer.drained or (buffer.rows and _passes_mark(buffer)):
        flush.noted.append(run.log.head_now())
    return buffer


def _take_beside(run: OwnedRun, beside: Beside, flush: Flush) -> None:
    flush.blobs += beside.blobs
    flush.dead += beside.dead
    flush.starts += beside.starts
    flush.drained += beside.drained
    flush.drained_by_end += beside.drained_by_end
    flush.offered += beside.offered
    flush.withdrawn += [(run.log.uuid, once) for once in beside.withdrawn]
    if beside.attributes is not None:
        flush.attributes[run.log.uuid] = msgspec.json.encode(beside.attributes)


def _passes_mark(buffer: Buffer) -> bool:
    first, last = buffer.rows[0], buffer.rows[-1]
    return (first.seq - first.fact_count) // HEAD_EVERY != last.seq // HEAD_EVERY
