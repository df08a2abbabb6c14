"""The writing side of a journal: every record passes here, into the state, the block and the open segment.

Rule 1: a record is applied to the state in the same breath as it is written: there is no other way to either.
Rule 2: blocks are closed at fixed rows; segments are cut wherever it is convenient.
Rule 3: no block ends, and no run, before the invariants are proven of it (`invariants`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from kronos.kernel.hashing import GENESIS
from kronos.trading.events import Origin, Record
from kronos.trading.invariants import Witness
from kronos.trading.journal import BlockHead, Segment, core_link, encode_records, user_link
from kronos.trading.positions import BLOCK_ROWS
from kronos.trading.state import TradingState, apply, encode_state

__all__ = ["Tape"]

R = TypeVar("R", bound=Record)


class Tape:
    """One run's journal while it is written; `memory` gives the canonical bytes of the strategy's memory."""

    def __init__(self, state: TradingState, origins: list[Origin], memory: Callable[[], bytes], *, row: int) -> None:
        """Begin a journal before `row` in `state`."""
        self.state = state
        self.core, self.user = GENESIS, GENESIS
        self.block: list[Record] = []
        self._origins, self._memory = origins, memory
        self._first_row = row
        self._bytes, self._bytes_of, self._bytes_at = b"", state, -1
        self._begin_watch()
        self.begin_segment(row)

    def restore(self, state: TradingState, block: list[Record], *, core: bytes, user: bytes, row: int) -> None:
        """Go on from before `row` as a checkpoint left it: the state, the block so far and the heads before it."""
        self.state, self.block, self.core, self.user = state, block, core, user
        self._begin_watch()
        self.begin_segment(row)

    def next_sub(self, row: int) -> int:
        """Return the `sub` that the next record at `row` has."""
        state = self.state
        return state.sub + 1 if state.row == row else 1

    def emit(self, record: Record) -> None:
        """Apply and write one record."""
        apply(self.state, record)
        self.block.append(record)
        self.unsealed.append(record)

    def write(self, kind: type[R], row: int, origin: int, causes: tuple[int, ...], *fields: Any) -> R:
        """Make, apply and write the next record at `row`, as seen now; `fields` are the kind's own."""
        state = self.state
        record = kind(row, state.sub + 1 if state.row == row else 1, origin, state.records, causes, *fields)
        apply(state, record)
        self.block.append(record)
        self.unsealed.append(record)
        return record

    def heads(self, row: int) -> tuple[bytes, bytes]:
        """Return the core and user heads before `row`: provisional inside a block."""
        if row % BLOCK_ROWS == 0 and row > self._first_row:
            return self.core, self.user
        return self._links()

    def close_block(self, row: int) -> None:
        """End the block before `row`, a multiple of the block's length."""
        assert row % BLOCK_ROWS == 0, "blocks end at fixed rows"
        self.prove()
        self.core, self.user = self._links()
        self.block, self._watched = [], 0
        self.ended.append(BlockHead(row, self.core, self.user))

    def prove(self) -> None:
        """Raise `InvariantBreach` unless the state is what the records since the last proof make of it."""
        self._watch.prove(self.block[self._watched :], self.state)
        self._begin_watch()

    def _begin_watch(self) -> None:
        self._watch, self._watched = Witness(self.state), len(self.block)

    def begin_segment(self, row: int) -> None:
        """Open a segment before `row`."""
        self._segment_row = row
        self._opening = self._encoded()
        self.ended: list[BlockHead] = []
        self.unsealed: list[Record] = []

    def cut(self, row: int) -> Segment:
        """Return the open segment as it ends before `row`, and open the next."""
        core, user = self.heads(row)
        segment = Segment(
            first_row=self._segment_row,
            last_row=row - 1,
            state=self._opening,
            origins=self._origins,
            heads=self.ended,
            core=core,
            user=user,
            records=encode_records(self.unsealed),
        )
        self.begin_segment(row)
        return segment

    def _links(self) -> tuple[bytes, bytes]:
        core = core_link(self.core, encode_records(self.block), self._encoded())
        return core, user_link(self.user, self._memory())

    def _encoded(self) -> bytes:
        """Return the state's bytes; made anew only when a record has changed it."""
        state = self.state
        if self._bytes_of is not state or self._bytes_at != state.records:
            self._bytes, self._bytes_of, self._bytes_at = encode_state(state), state, state.records
        return self._bytes
