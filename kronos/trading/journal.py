"""The journal: records in segments, and two chains of hashes over blocks of 4,096 rows.

Rule 1: a block's core link is H(previous, the block's records, canonical core state at its end); its user link is
        H(previous, canonical bytes of the strategy's memory at its end).
Rule 2: block boundaries depend on rows alone; where a segment is cut changes no link.  A head inside a block is what
        the link would be if the block ended there: provisional, and reproducible.
Rule 3: a segment opens with the core state before its first row: a core state at any position needs no user code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

import msgspec
import zstandard

from kronos.errors import CorruptHistory
from kronos.kernel.hashing import GENESIS, chain
from kronos.trading.events import Origin, Record
from kronos.trading.positions import BLOCK_ROWS, Position, block_end
from kronos.trading.state import TradingState, apply, decode_state, encode_state

__all__ = [
    "BlockHead",
    "MemoryRecorder",
    "Recorder",
    "SealedSegment",
    "Segment",
    "core_link",
    "decode_segment",
    "encode_records",
    "encode_segment",
    "records_between",
    "state_at",
    "user_link",
    "verify",
]  # fmt: skip

FORMAT: Final = 1
_RECORDS = msgspec.msgpack.Encoder()
_DECODE_RECORDS = msgspec.msgpack.Decoder(list[Record])
_LEVEL: Final = 3
_UNPACKED_MAX: Final = 1 << 30


class BlockHead(msgspec.Struct, frozen=True, array_like=True):
    """The heads of both chains after the block that ends at `row` (exclusive)."""

    row: int
    core: bytes
    user: bytes


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed piece of a journal, rows first_row..last_row, both included.

    `state` is the canonical core state before first_row, `heads` the finished blocks that end within the segment;
    `core` and `user` are the (perhaps provisional) heads after last_row.
    """

    first_row: int
    last_row: int
    state: bytes
    origins: list[Origin]
    heads: list[BlockHead]
    core: bytes
    user: bytes
    records: bytes
    format: int = FORMAT

    def decode(self) -> list[Record]:
        """Return the records in order."""
        return _DECODE_RECORDS.decode(self.records)


class Recorder(Protocol):
    """Where a run's segments and checkpoints go (`kronos.ports.Recorder` has the same shape)."""

    def segment(self, *, first_row: int, last_row: int, core_chain: bytes, user_chain: bytes, data: bytes) -> None:
        """Seal one segment; they come in order and without a gap."""

    def checkpoint(self, *, row: int, data: bytes) -> None:
        """Keep a cached state before `row`."""


class SealedSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment as a recorder was given it."""

    first_row: int
    last_row: int
    core_chain: bytes
    user_chain: bytes
    data: bytes


class MemoryRecorder:
    """Keeps what it is given, and passes it on to `forward` when there is one."""

    def __init__(self, forward: Recorder | None = None) -> None:
        self.segments: list[SealedSegment] = []
        self.checkpoints: dict[int, bytes] = {}
        self._forward = forward

    def segment(self, *, first_row: int, last_row: int, core_chain: bytes, user_chain: bytes, data: bytes) -> None:
        """Keep one sealed segment."""
        self.segments.append(
            SealedSegment(
                first_row=first_row, last_row=last_row, core_chain=core_chain, user_chain=user_chain, data=data
            )
        )
        if self._forward is not None:
            self._forward.segment(
                first_row=first_row, last_row=last_row, core_chain=core_chain, user_chain=user_chain, data=data
            )

    def checkpoint(self, *, row: int, data: bytes) -> None:
        """Keep one cached state."""
        self.checkpoints[row] = data
        if self._forward is not None:
            self._forward.checkpoint(row=row, data=data)

    def nearest(self, row: int) -> bytes | None:
        """Return the latest checkpoint at or before `row`, or None."""
        rows = [known for known in self.checkpoints if known <= row]
        return self.checkpoints[max(rows)] if rows else None


def encode_records(records: Sequence[Record]) -> bytes:
    """Return the canonical bytes of records in order: arrays of integers and short text (msgpack)."""
    return _RECORDS.encode(records)


def decode_records(data: bytes) -> list[Record]:
    """Return the records of `encode_records`; raise `CorruptHistory` for other bytes."""
    try:
        return _DECODE_RECORDS.decode(data)
    except msgspec.MsgspecError as error:
        raise CorruptHistory(f"journal records cannot be read: {error}") from error


def core_link(previous: bytes, records: bytes, state: bytes) -> bytes:
    """Return the core head after a block of `records` that ended in core `state`."""
    return chain(previous, records, state)


def user_link(previous: bytes, memory: bytes) -> bytes:
    """Return the user head after a block that ended with the strategy's `memory`."""
    return chain(previous, memory)


_segment_encoder = msgspec.msgpack.Encoder()
_segment_decoder = msgspec.msgpack.Decoder(Segment)


def encode_segment(segment: Segment) -> bytes:
    """Return a segment as compressed bytes."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(_segment_encoder.encode(segment))


def decode_segment(data: bytes) -> Segment:
    """Return the segment of `encode_segment`; raise `CorruptHistory` for bytes that are none."""
    try:
        plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=_UNPACKED_MAX)
        segment = _segment_decoder.decode(plain)
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise CorruptHistory(f"journal segment cannot be read: {error}") from error
    if segment.format != FORMAT:
        raise CorruptHistory(f"journal segment has format {segment.format}; this Kronos reads {FORMAT}")
    return segment


def records_between(segments: Iterable[bytes], start: Position, stop: Position) -> Iterator[Record]:
    """Yield the records at positions start <= (row, sub) < stop, in order."""
    for data in segments:
        segment = decode_segment(data)
        if segment.last_row < start.row or segment.first_row > stop.row:
            continue
        for record in segment.decode():
            if start <= (record.row, record.sub) < stop:
                yield record


def state_at(segments: Iterable[bytes], position: Position) -> TradingState:
    """Return the core state before `position` is processed, folded from the segment that holds it.

    `Position(row)` is the state before `row`; `Position(row, sub + 1)` the state after record (row, sub).
    Raises `CorruptHistory` when there are no segments.
    """
    chosen: Segment | None = None
    for data in segments:
        segment = decode_segment(data)
        if chosen is not None and segment.first_row >= position.row + (position.sub > 0):
            break
        chosen = segment
    if chosen is None:
        raise CorruptHistory("the journal has no segment")
    state = decode_state(chosen.state)
    for record in chosen.decode():
        if (record.row, record.sub) >= position:
            break
        apply(state, record)
    return state


def verify(segments: Iterable[bytes]) -> bytes:
    """Fold a whole journal without user code and return its core head.

    Raises `CorruptHistory` at the first block whose recorded head differs from the recomputed one.
    """
    state: TradingState | None = None
    head, block = GENESIS, list[Record]()
    final = GENESIS
    for data in segments:
        segment = decode_segment(data)
        if state is None:
            state = decode_state(segment.state)
        elif encode_state(state) != segment.state:
            raise CorruptHistory(f"the core state before row {segment.first_row} is not what its records lead to")
        heads = {item.row: item.core for item in segment.heads}
        records, taken, row = segment.decode(), 0, segment.first_row
        while row <= segment.last_row:
            row = min(block_end(row), segment.last_row + 1)
            while taken < len(records) and records[taken].row < row:
                apply(state, records[taken])
                block.append(records[taken])
                taken += 1
            final = core_link(head, encode_records(block), encode_state(state))
            if row % BLOCK_ROWS == 0:
                _check(heads.get(row), final, row)
                head, block = final, []
        _check(segment.core, final, row)
    return final


def _check(recorded: bytes | None, recomputed: bytes, row: int) -> None:
    if recorded != recomputed:
        raise CorruptHistory(f"core head after row {row - 1} differs from the recorded one", row=row - 1)
