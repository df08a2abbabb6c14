"""What a dataset is: a name by content, and what was found when it was imported.

Rule 1: the id is the Merkle root over the dataset's terms (columns, tick, steps, interval, splits) and its chunks of
        65,536 rows of canonical little-endian int64 columns; no file's bytes take part, since they change with writers.
Rule 2: `Dataset` is a small value that travels between steps; the columns never do.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from kronos.kernel import canonical
from kronos.kernel.hashing import content_hash, merkle_root
from kronos.kernel.ids import BlobHash, DatasetId
from kronos.trading.bars import COLUMNS, Int64s, Split

__all__ = [
    "CHUNK_ROWS",
    "Chunk",
    "Dataset",
    "Dividend",
    "Gap",
    "Jump",
    "Manifest",
    "Source",
    "chunk_leaf",
    "dataset_id",
]

CHUNK_ROWS: Final = 65_536
"""Rows in a chunk; the last one of a dataset may be shorter."""


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A handle on immutable market data; times are ns UTC, `end_ns` is when the last bar closed."""

    id: DatasetId
    name: str
    kind: str
    instrument: str
    tick: Decimal
    volume_step: Decimal
    rows: int
    start_ns: int
    end_ns: int
    interval_ns: int
    calendar: str = "24x7"


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Bars that are missing between `row` - 1 and `row`; `explained` of them by the declared calendar."""

    row: int
    after_ns: int
    before_ns: int
    missing: int
    explained: int


class Jump(msgspec.Struct, frozen=True, kw_only=True):
    """A close-to-close change beyond the gate that no split explains."""

    row: int
    time_ns: int
    change: float


class Dividend(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the adjustment ratio that is no split: an amount a share before `row`, listed, never credited."""

    row: int
    time_ns: int
    amount: float


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk: the hash of its canonical columns, and the blob (Parquet) that holds them."""

    leaf: str
    blob: BlobHash
    rows: int


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where the data came from: file name, SHA-256 of its bytes (empty for a table), columns as they were mapped."""

    file: str
    sha256: str
    mapping: dict[str, str]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an import found; `gaps` lists the first thousand, `gap_count` and `missing` count all."""

    dataset: Dataset
    price_max: int
    chunks: list[Chunk]
    source: Source
    splits: list[Split] = []
    dividends: list[Dividend] = []
    jumps: list[Jump] = []
    gaps: list[Gap] = []
    gap_count: int = 0
    missing: int = 0
    explained: int = 0


def chunk_leaf(columns: dict[str, Int64s], start: int, stop: int) -> str:
    """Return the hash of rows start..stop-1 of the canonical columns, column after column."""
    return content_hash(b"".join(columns[name][start:stop].astype("<i8", copy=False).tobytes() for name in COLUMNS))


def dataset_id(
    leaves: list[str], *, rows: int, tick: Decimal, volume_step: Decimal, interval_ns: int, splits: list[Split]
) -> DatasetId:
    """Return the Merkle root over the terms and the chunk leaves."""
    terms = canonical.encode(
        {
            "kind": "bars",
            "columns": COLUMNS,
            "rows": rows,
            "tick": str(tick.normalize()),
            "volume_step": str(volume_step.normalize()),
            "interval_ns": interval_ns,
            "splits": splits,
        }
    )
    return DatasetId(merkle_root([content_hash(terms), *leaves]))
