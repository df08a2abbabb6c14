"""Where datasets are listed: their ids, names and manifests."""

from __future__ import annotations

from typing import Protocol

import msgspec

from kronos.kernel.ids import DatasetId

__all__ = ["DatasetIndex", "DatasetRow"]


class DatasetRow(msgspec.Struct, frozen=True, kw_only=True):
    """One listed dataset; `manifest` is canonical JSON and names the blobs of its chunks."""

    id: DatasetId
    name: str
    kind: str
    instrument: str
    rows: int
    start_ns: int
    end_ns: int
    manifest: bytes
    created_at_ns: int = 0


class DatasetIndex(Protocol):
    """The catalog's table."""

    def add(self, row: DatasetRow) -> None:
        """List `row`; listing the same id and name twice changes nothing."""
        ...

    def find(self, name_or_id: str) -> DatasetRow:
        """Return the dataset of a `name@id`, id, id prefix (12 digits or more) or name (newest); raise `NotFound`."""
        ...

    def all(self) -> list[DatasetRow]:
        """Return every listed dataset, newest first."""
        ...
