"""What a dataset is: a name by content, and what was found when it was imported.

Rule 1: the id is the Merkle root over the dataset's terms (columns, tick, steps, interval, splits) and its chunks of
        65,536 rows of canonical little-endian int64 columns; no file's bytes take part, since they change with writers.
Rule 2: `Dataset` is a small value that travels between steps; the columns never do.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
import numpy as np

from kronos.kernel import canonical
from kronos.kernel.hashing import content_hash, content_hash_of, merkle_root
from kronos.kernel.ids import BlobHash, DatasetId
from kronos.trading.bars import Split
from kronos.trading.columns import Int64s
from kronos.trading.streams import COLUMNS_OF

__all__ = [
    "CHUNK_ROWS",
    "Chunk",
    "Dataset",
    "Dividend",
    "Finding",
    "Gap",
    "Jump",
    "Manifest",
    "Source",
    "chunk_leaf",
    "dataset_id",
    "leaves_of",
]

CHUNK_ROWS: Final = 65_536
"""Rows in a chunk; the last one of a dataset may be shorter."""


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A handle on immutable market data: bars, trades, quotes or depth.

    Times are ns UTC; `end_ns` is when the last bar closed, or when the last row was available.  `volume_step` is the
    step of quantities, `interval_ns` 0 where there are no bars.
    """

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
    """A change of the adjustment ratio that is no split: an amount a share before `row`, credited where a plan asks."""

    row: int
    time_ns: int
    amount: float


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk: the hash of its canonical columns, and the blob (Parquet) that holds them."""

    leaf: str
    blob: BlobHash
    rows: int


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the gate saw: `check` names it, `rows` where (the first few of `count`), `detail` says it."""

    check: str
    count: int
    rows: list[int]
    detail: str


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where the data came from: file name, SHA-256 of its bytes (empty for a table), columns as they were mapped."""

    file: str
    sha256: str
    mapping: dict[str, str]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an import found; `gaps` lists the first thousand, `gap_count` and `missing` count all.

    `findings` were accepted by name, or only tell; `derived` names the dataset that candles were made from.
    `keyframes` hold the book before each chunk of a depth dataset.
    """

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
    findings: list[Finding] = []
    derived: str = ""
    keyframes: list[BlobHash] = []


def chunk_leaf(kind: str, columns: dict[str, Int64s], start: int, stop: int) -> str:
    """Return the hash of rows start..stop-1 of the canonical columns of `kind`, column after column."""
    names = COLUMNS_OF[kind]
    return content_hash_of(
        np.ascontiguousarray(columns[name][start:stop], dtype="<i8").data.cast("B") for name in names
    )


def leaves_of(kind: str, columns: dict[str, Int64s]) -> list[str]:
    """Return the hash of every chunk of the columns, in order."""
    rows = len(columns[COLUMNS_OF[kind][0]])
    return [chunk_leaf(kind, columns, at, min(at + CHUNK_ROWS, rows)) for at in range(0, rows, CHUNK_ROWS)]


def dataset_id(leaves: list[str], dataset: Dataset, *, splits: list[Split]) -> DatasetId:
    """Return the Merkle root over the terms and the chunk leaves; name, instrument and calendar take no part."""
    terms = canonical.encode(
        {
            "kind": dataset.kind,
            "columns": COLUMNS_OF[dataset.kind],
            "rows": dataset.rows,
            "tick": str(dataset.tick.normalize()),
            "volume_step": str(dataset.volume_step.normalize()),
            "interval_ns": dataset.interval_ns,
            "splits": splits,
        }
    )
    return DatasetId(merkle_root([content_hash(terms), *leaves]))
