"""The journal of a trading step that is replayed: compared with the one on record, never stored.

Rule: two journals are compared where both have a head: at every 4,096th row, and where both were cut.  The first head
      that differs names the rows since the last one that did not.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from kronos.errors import CorruptHistory
from kronos.ports import Blobs, SegmentRef

__all__ = ["JournalDifference", "ReplayedJournal"]

Heads = dict[int, tuple[bytes, bytes]]
"""Row (exclusive end) → heads of the core chain and of the user chain."""


class JournalDifference(msgspec.Struct, frozen=True):
    """Where two journals part: `chain` is "core" (decisions, money), "user" (strategy variables) or "length"."""

    chain: str
    first_row: int
    last_row: int

    def __str__(self) -> str:
        what = {"core": "decisions or money", "user": "strategy variables", "length": "number of rows"}[self.chain]
        return f"{what} differ first within rows {self.first_row}..{self.last_row}"


class ReplayedJournal:
    """A `ports.Recorder` that only compares."""

    def __init__(self, recorded: Sequence[SegmentRef], blobs: Blobs) -> None:
        self._recorded = recorded
        self._blobs = blobs
        self._heads: Heads = {}
        self._last_row = -1

    def segment(self, *, first_row: int, last_row: int, core_chain: bytes, user_chain: bytes, data: bytes) -> None:
        self._last_row = last_row
        self._heads |= _heads(data, last_row, core_chain, user_chain)

    def checkpoint(self, *, row: int, data: bytes) -> None:
        """A cached state is worth nothing to a comparison."""

    def difference(self, *, user: bool) -> JournalDifference | None:
        """Return where the replay parts from the recording; the user chain is looked at only when `user`."""
        recorded: Heads = {}
        for ref in self._recorded:
            recorded |= _heads(self._blobs.get(ref.blob), ref.last_row, ref.core_chain, ref.user_chain)
        equal_up_to = {"core": 0, "user": 0}
        first: dict[str, JournalDifference] = {}
        for row in sorted(recorded.keys() & self._heads.keys()):
            for chain, before, after in zip(("core", "user"), recorded[row], self._heads[row], strict=True):
                if before == after:
                    equal_up_to[chain] = row
                else:
                    first.setdefault(chain, JournalDifference(chain, equal_up_to[chain], row - 1))
        if "core" in first:
            return first["core"]
        last = self._recorded[-1].last_row if self._recorded else -1
        if last != self._last_row:
            ends = sorted((last, self._last_row))
            return JournalDifference("length", ends[0] + 1, ends[1])
        return first.get("user") if user else None


def _heads(data: bytes, last_row: int, core: bytes, user: bytes) -> Heads:
    from kronos.trading.journal import decode_segment  # 0.2 s of every replay of a step without a journal

    found: Heads = {}
    with suppress(CorruptHistory):  # somebody's own recording: the heads at its cuts are all there is
        found = {head.row: (head.core, head.user) for head in decode_segment(data).heads}
    found[last_row + 1] = (bytes(core), bytes(user))
    return found
