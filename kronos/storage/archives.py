"""A run's rows, page by page: from the log, and from the archive of a run that expired before its forks did.

Rule 1: an archive is written before the rows that it holds are detached: a reader finds each row in one or the other.
Rule 2: archives are looked for only where rows are missing: whoever reads a whole history pays nothing for them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, cast

import msgspec
import zstandard

from kronos.errors import CorruptHistory
from kronos.kernel.ids import RunId
from kronos.storage.database import Connection, Connections
from kronos.storage.statements import statement
from kronos.storage.stored import StoredEvent, read_stored

__all__ = ["ArchivedRow", "EventPages", "decode_archive", "encode_archive"]

DECODED_MAX: Final = 4
ARCHIVE_BYTES_MAX: Final = 1 << 30


class ArchivedRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row of `events`, but for its run and class."""

    seq: int
    facts: int
    kind: str
    step: str
    attempt: int
    at_ns: int
    body: bytes
    hash: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[ArchivedRow]).decode


def encode_archive(rows: Sequence[ArchivedRow]) -> bytes:
    """Return the rows of one run in order as bytes."""
    return _encode(rows)


def decode_archive(data: bytes) -> list[ArchivedRow]:
    """Return the rows of `encode_archive`'s bytes; raise `CorruptHistory` for others."""
    try:
        return _decode(data)
    except msgspec.MsgspecError as error:
        raise CorruptHistory(f"an archive of events cannot be read: {error}") from error


class EventPages:
    """Reads pages of stored events, of forks those that they share included."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._decoded: OrderedDict[bytes, list[ArchivedRow]] = OrderedDict()

    def page(self, run_id: RunId, after: int, limit: int, *, upto: int | None = None) -> list[StoredEvent]:
        """Return stored events with `seq` > `after`, in order, at most `limit`; none that begins after `upto`."""
        at = {"run": run_id, "after": after, "limit": limit, "upto": upto}
        with self._connections.connection() as connection:
            rows = connection.execute(statement("read_events"), at, binary=True).fetchall()
            found = [read_stored(run_id, row) for row in rows]
            if not _has_gap(found, after):
                return found
            archived = self._archived(connection, run_id, after, limit, upto)
        return sorted([*archived, *found], key=lambda each: each.event.seq)[:limit] if archived else found

    def _archived(
        self, connection: Connection, run_id: RunId, after: int, limit: int, upto: int | None
    ) -> list[StoredEvent]:
        parts = connection.execute(statement("find_archives"), {"run": run_id, "after": after}).fetchall()
        found: list[StoredEvent] = []
        for begins, ends, head, blob in cast("list[tuple[int, int, bytes, bytes]]", parts):
            low, high = max(begins, after), ends if upto is None else min(ends, upto)
            rows = [row for row in self._rows(connection, blob) if row.seq > low and row.seq - row.facts < high]
            found += [read_stored(run_id, (*msgspec.structs.astuple(row), ends, head)) for row in rows[:limit]]
        return found

    def _rows(self, connection: Connection, blob: bytes) -> list[ArchivedRow]:
        if blob not in self._decoded:
            row = connection.execute(statement("get_blob"), {"hash": blob}, binary=True).fetchone()
            if row is None:
                raise CorruptHistory(f"the archive {blob.hex()} of events is not stored", blob=blob.hex())
            packed = cast("bytes", row[0])
            plain = zstandard.ZstdDecompressor().decompress(packed, max_output_size=ARCHIVE_BYTES_MAX)
            self._decoded[blob] = decode_archive(plain)
            while len(self._decoded) > DECODED_MAX:
                self._decoded.popitem(last=False)
        return self._decoded[blob]


def _has_gap(found: list[StoredEvent], after: int) -> bool:
    if not found or found[0].event.first_seq > after + 1:
        return True
    return any(one.event.seq + 1 != other.event.first_seq for one, other in pairwise(found))
