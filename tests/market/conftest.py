"""A store in memory, and files to import from."""

from __future__ import annotations

import hashlib

import pytest

from kronos.errors import NotFound
from kronos.market import Catalog


class MemoryBlobs:
    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def put(self, data):
        blob = hashlib.sha256(data).hexdigest()
        self.stored[blob] = bytes(data)
        return blob

    def get(self, blob):
        if blob not in self.stored:
            raise NotFound(f"no blob {blob}")
        return self.stored[blob]


class MemoryIndex:
    def __init__(self) -> None:
        self.rows = {}

    def add(self, row) -> None:
        self.rows[row.id, row.name] = row

    def find(self, name_or_id):
        for row in self.all():
            if name_or_id in {row.id, row.name, f"{row.name}@{row.id}"} or (
                len(name_or_id) >= 12 and row.id.startswith(name_or_id)
            ):
                return row
        raise NotFound(f"no dataset {name_or_id!r}")

    def all(self):
        return list(reversed(self.rows.values()))


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def catalog(blobs, tmp_path) -> Catalog:
    return Catalog(blobs, MemoryIndex(), tmp_path / "cache")


@pytest.fixture
def reopened(blobs, catalog, tmp_path):
    """Another process's view of the same store."""

    def make() -> Catalog:
        return Catalog(blobs, catalog._index, tmp_path / "cache")

    return make


@pytest.fixture(scope="session")
def store():
    """Makes a fresh catalog over a cache folder."""
    return lambda folder: Catalog(MemoryBlobs(), MemoryIndex(), folder)
