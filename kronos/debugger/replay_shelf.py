"""Stores as a replay sees them: everything can be read, and what is written goes nowhere.

Rule: names are content hashes, so a step that stores what the run stored is told the same name, and nothing is lost.
"""

from __future__ import annotations

from kronos.kernel.hashing import content_hash
from kronos.kernel.ids import BlobHash
from kronos.ports import Blobs, DatasetIndex, DatasetRow

__all__ = ["ReadOnlyBlobs", "ReadOnlyIndex"]


class ReadOnlyBlobs:
    """`ports.Blobs` over a store that stays as it is; what was put in this replay can be got again."""

    def __init__(self, stored: Blobs) -> None:
        self._stored = stored
        self._put: dict[BlobHash, bytes] = {}

    def put(self, data: bytes) -> BlobHash:
        name = BlobHash(content_hash(data))
        self._put[name] = data
        return name

    def get(self, blob: BlobHash) -> bytes:
        found = self._put.get(blob)
        return self._stored.get(blob) if found is None else found


class ReadOnlyIndex:
    """`ports.DatasetIndex` over a list that stays as it is; what was added in this replay is found first."""

    def __init__(self, stored: DatasetIndex) -> None:
        self._stored = stored
        self._added: list[DatasetRow] = []

    def add(self, row: DatasetRow) -> None:
        self._added.insert(0, row)

    def find(self, name_or_id: str) -> DatasetRow:
        for row in self._added:
            if name_or_id in (row.name, row.id):
                return row
        return self._stored.find(name_or_id)

    def all(self) -> list[DatasetRow]:
        return [*self._added, *self._stored.all()]
