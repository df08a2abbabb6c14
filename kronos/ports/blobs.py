"""Content-addressed bytes."""

from __future__ import annotations

from typing import Protocol

from kronos.kernel.ids import BlobHash

__all__ = ["Blobs"]


class Blobs(Protocol):
    """A store where a value's name is its SHA-256; putting the same bytes twice stores them once."""

    def put(self, data: bytes) -> BlobHash:
        """Store `data` durably and return its hash."""
        ...

    def get(self, blob: BlobHash) -> bytes:
        """Return the bytes of `blob`; raise `NotFound` when it is not stored, `CorruptHistory` when it is damaged."""
        ...
