"""Datasets as memory-mapped Arrow files: a cache, never the truth.

Rule 1: a file appears whole (written beside, then renamed), so two processes may build it at once.
Rule 2: what is mapped is compared with the dataset's Merkle leaves once a process; a damaged file is rebuilt.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from kronos.trading.columns import Int64s

__all__ = ["map_columns", "write_columns"]


def write_columns(path: Path, columns: dict[str, Int64s], names: Sequence[str]) -> None:
    """Write the columns `names` to `path` as one Arrow record batch, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    batch = pa.record_batch([pa.array(columns[name]) for name in names], names=list(names))
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def map_columns(path: Path, names: Sequence[str]) -> dict[str, Int64s] | None:
    """Return the columns `names` of `path` without copying (read-only), or None when it is absent or no such file."""
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowException):
        return None
    if table.column_names != list(names) or any(field.type != pa.int64() for field in table.schema):
        return None
    return {name: _column(table[name]) for name in names}


def _column(column: pa.ChunkedArray) -> Int64s:
    if column.num_chunks != 1:
        return np.asarray(column.to_numpy())
    return np.asarray(column.chunk(0).to_numpy(zero_copy_only=True))
