"""Content-addressed bytes in Postgres, compressed with zstd."""

from __future__ import annotations

from typing import Final, cast

import zstandard

from kronos.errors import CorruptHistory, NotFound
from kronos.kernel.hashing import content_hash
from kronos.kernel.ids import BlobHash, RunId
from kronos.ports.queue import BlobWrite
from kronos.storage.database import Connections
from kronos.storage.flushing import write_blobs
from kronos.storage.statements import statement

__all__ = ["PostgresBlobs"]

BLOB_BYTES_MAX: Final = 256 * 1024 * 1024


class PostgresBlobs:
    """`ports.Blobs`.  `kind` and `owner` say what refers to what is put here, and so keeps it."""

    def __init__(self, session: Connections, *, kind: str, owner: str) -> None:
        self._session = session
        self._kind = kind
        self._owner = owner

    def put(self, data: bytes) -> BlobHash:
        """Store `data` durably and return its hash."""
        name = content_hash(data)
        with self._session.transaction() as connection:
            write_blobs(connection, [BlobWrite(name, data, RunId(self._owner))], self._kind)
        return BlobHash(name)

    def get(self, blob: BlobHash) -> bytes:
        """Return the bytes of `blob`; raise `NotFound` or `CorruptHistory`."""
        with self._session.connection() as connection:
            row = connection.execute(statement("get_blob"), {"hash": _bytes_of(blob)}, binary=True).fetchone()
        if row is None:
            raise NotFound(f"blob {blob} is not stored", blob=blob)
        try:
            data = zstandard.ZstdDecompressor().decompress(cast("bytes", row[0]), max_output_size=BLOB_BYTES_MAX)
        except zstandard.ZstdError as error:
            raise CorruptHistory(f"blob {blob} is damaged: {error}", blob=blob) from error
        if content_hash(data) != blob:
            raise CorruptHistory(f"blob {blob} is damaged: its bytes have another hash", blob=blob)
        return data


def _bytes_of(blob: BlobHash) -> bytes:
    try:
        return bytes.fromhex(blob)
    except ValueError:
        raise NotFound(f"{blob!r} is no blob: a blob is named by 64 hex digits", blob=blob) from None
