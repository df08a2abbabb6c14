"""A journal on record, opened where it is asked: the core state at any row, records of rows, heads of blocks.

Rule 1: the core state before a row is the fold of recorded facts; no user code runs for it.
Rule 2: a decoded segment is kept with states at every 2,048th record that was passed, so that the next row is near.
Rule 3: it is safe for several threads.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from kronos.debugger.host_wire import Head
from kronos.ports import Blobs, SegmentRef
from kronos.trading.events import Origin, Record
from kronos.trading.journal import Segment, decode_segment
from kronos.trading.state import TradingState, apply, decode_state, encode_state

__all__ = ["Journal"]

RECORDS_KEPT_MAX: Final = 600_000
"""Decoded records that one journal keeps."""

MARK_RECORDS: Final = 2_048
"""Records between two kept states."""


class Journal:
    """The sealed segments of one attempt."""

    def __init__(self, refs: Sequence[SegmentRef], blobs: Blobs) -> None:
        self._refs = list(refs)
        self._blobs = blobs
        self._opened: OrderedDict[int, _Opened] = OrderedDict()
        self._heads: dict[int, list[Head]] = {}
        self._guard = threading.RLock()

    @property
    def refs(self) -> list[SegmentRef]:
        return self._refs

    @property
    def end_row(self) -> int | None:
        """The row before which the journal ends, None where nothing was sealed."""
        return self._refs[-1].last_row + 1 if self._refs else None

    def state_before(self, row: int) -> TradingState:
        """Return the core state before `row`, which is at most `end_row`."""
        with self._guard:
            return self._open(self._holding(row)).state_before(row)

    def records(self, row_from: int, row_to: int) -> Iterator[tuple[Origin, Record]]:
        """Yield the records of rows row_from..row_to, both included, each with who acted."""
        for place, ref in enumerate(self._refs):
            # What `on_start` did stands at the row before the first.
            if ref.last_row >= row_from and (ref.first_row <= row_to or place == 0):
                opened = self._open(place)
                at = bisect_left(opened.rows, row_from)
                for record in opened.records[at : bisect_right(opened.rows, row_to)]:
                    yield opened.origins[record.origin], record

    def heads(self, row_from: int, row_to: int) -> dict[int, Head]:
        """Return the recorded heads before the rows row_from..row_to: of finished blocks, and where segments end."""
        found: dict[int, Head] = {}
        for place, ref in enumerate(self._refs):
            if ref.last_row + 1 >= row_from and ref.first_row < row_to:
                heads = self._heads.get(place) or self._open(place).heads
                found |= {head.row: head for head in heads if row_from <= head.row <= row_to}
        return found

    def datas(self) -> Iterator[bytes]:
        """Yield the segments as they were sealed."""
        return (self._blobs.get(ref.blob) for ref in self._refs)

    def _holding(self, row: int) -> int:
        """Return the place of the segment that the state before `row` is folded from."""
        return max(0, bisect_left([ref.first_row for ref in self._refs], row) - 1)

    def _open(self, place: int) -> _Opened:
        with self._guard:
            opened = self._opened.get(place)
            if opened is None:
                opened = self._opened[place] = _Opened(decode_segment(self._blobs.get(self._refs[place].blob)))
                self._heads[place] = opened.heads
            self._opened.move_to_end(place)
            while len(self._opened) > 1 and sum(len(each.rows) for each in self._opened.values()) > RECORDS_KEPT_MAX:
                self._opened.popitem(last=False)
            return opened


class _Opened:
    """One decoded segment, and the states that were passed in it."""

    def __init__(self, segment: Segment) -> None:
        self.origins, self.records = segment.origins, segment.decode()
        self.rows = [record.row for record in self.records]
        heads = [Head(head.row, head.core, head.user) for head in segment.heads]
        self.heads = [*heads, Head(segment.last_row + 1, segment.core, segment.user)]
        self._at, self._marks = [0], [segment.state]

    def state_before(self, row: int) -> TradingState:
        stop = bisect_left(self.rows, row)
        near = bisect_right(self._at, stop) - 1
        index, state = self._at[near], decode_state(self._marks[near])
        for record in self.records[index:stop]:
            apply(state, record)
            index += 1
            if index % MARK_RECORDS == 0 and index > self._at[-1]:
                self._at.append(index)
                self._marks.append(encode_state(state))
        return state
