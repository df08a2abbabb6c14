"""A dataset's mapped columns made again from its chunks, without ever holding more than a few of them.

Rule 1: each chunk is read, hashed and written to its place while it is warm; two are worked on at once.
Rule 2: the file appears only when all chunks together are what the dataset's id names.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet

from kronos.errors import CorruptHistory
from kronos.market.cache import Laid, lay_columns
from kronos.market.dataset import Chunk, Manifest, chunk_leaf, dataset_id
from kronos.market.vectors import values_of
from kronos.ports import Blobs
from kronos.trading.streams import COLUMNS_OF

__all__ = ["rebuild_columns", "unpack"]

WORKERS: Final = 2
"""Chunks that are worked on at once: reading and hashing let go of the interpreter."""


def rebuild_columns(path: Path, manifest: Manifest, blobs: Blobs) -> None:
    """Put the cache file of a dataset together; raise `CorruptHistory` when its chunks are not what its id names."""
    found = manifest.dataset
    with lay_columns(path, COLUMNS_OF[found.kind], found.rows) as laid, ThreadPoolExecutor(WORKERS) as pool:
        waiting, leaves, start = deque[Future[str]](), list[str](), 0
        for chunk in manifest.chunks:
            data = blobs.get(chunk.blob)
            waiting.append(pool.submit(_lay, laid, manifest, chunk, data, start))
            start += chunk.rows
            if len(waiting) > 2 * WORKERS:
                leaves.append(waiting.popleft().result())
        leaves += [each.result() for each in waiting]
        if start != found.rows or found.id != dataset_id(leaves, found, splits=manifest.splits):
            raise _damaged(manifest)


def _lay(laid: Laid, manifest: Manifest, chunk: Chunk, data: bytes, start: int) -> str:
    """Lay one chunk from row `start` on and return its leaf."""
    names, table = COLUMNS_OF[manifest.dataset.kind], unpack(data, chunk.blob)
    if (
        table.num_rows != chunk.rows
        or start + chunk.rows > manifest.dataset.rows
        or table.column_names != list(names)
        or any(column.type != pa.int64() or column.null_count for column in table.columns)
    ):
        raise _damaged(manifest)
    columns = {name: values_of(table[name]) for name in names}
    for name, values in columns.items():
        laid.put(name, start, values)
    return chunk_leaf(manifest.dataset.kind, columns, 0, chunk.rows)


def unpack(data: bytes, blob: str) -> pa.Table:
    """Return the columns of a chunk; raise `CorruptHistory` for bytes that are no Parquet."""
    try:
        return pyarrow.parquet.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise CorruptHistory(f"chunk {blob[:12]} cannot be read: {error}", blob=blob) from error


def _damaged(manifest: Manifest) -> CorruptHistory:
    found = manifest.dataset
    return CorruptHistory(
        f"dataset {found.name}: its chunks are not {found.id[:12]}; import it again", dataset=found.id
    )
