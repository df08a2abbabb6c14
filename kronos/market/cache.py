"""Datasets as memory-mapped Arrow files: a cache, never the truth.

Rule 1: a file appears whole (written beside, then renamed), so two processes may build it at once.
Rule 2: room on the disk is taken before a file is filled: a full disk is an error, never a signal.
Rule 3: what is mapped is compared with the dataset's Merkle leaves once a process; a damaged file is rebuilt.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa

from kronos.market.vectors import array_of, values_of
from kronos.trading.columns import Int64s

__all__ = ["Laid", "lay_columns", "map_columns", "write_columns"]

_HOLE: Final = 1 << 16
"""Bytes from which a buffer is left open when a file is laid; what describes a file is shorter."""


def write_columns(path: Path, columns: dict[str, Int64s], names: Sequence[str]) -> None:
    """Write the columns `names` to `path` as one Arrow record batch, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    batch = pa.record_batch([array_of(columns[name]) for name in names], names=list(names))
    with (
        _appearing(path) as (_, handle),
        os.fdopen(handle, "wb") as file,
        pa.ipc.new_file(file, batch.schema) as writer,
    ):
        writer.write_batch(batch)


@contextmanager
def lay_columns(path: Path, names: Sequence[str], rows: int) -> Iterator[Laid]:
    """Give a file of the columns `names`, each int64 of shape (rows,), to be written piece by piece; then it appears.

    No memory but the file's own pages is used.  Raises `OSError` when the disk has no room for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    nothing = np.zeros(rows, dtype=np.int64)  # never read: its pages are never made
    batch = pa.record_batch([array_of(nothing) for _ in names], names=list(names))
    with _appearing(path) as (temporary, handle):
        with os.fdopen(handle, "wb") as file:
            with pa.ipc.new_file(pa.PythonFile(_Holes(file), "w"), batch.schema) as writer:
                writer.write_batch(batch)
            file.flush()
            os.posix_fallocate(file.fileno(), 0, file.tell())
        with temporary.open("r+b", buffering=0) as file:
            yield Laid(file.fileno(), dict(zip(names, _offsets(temporary), strict=True)))


@contextmanager
def _appearing(path: Path) -> Iterator[tuple[Path, int]]:
    """Give a file beside `path` and its handle; it becomes `path` when all went well, else it goes."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    temporary = Path(name)
    try:
        yield temporary, handle
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class Laid:
    """A file that is being laid; several threads may write to it at once.

    It is written to, not mapped: a fault for each page of a mapping costs more than the decoding of what goes there.
    """

    def __init__(self, handle: int, offsets: Mapping[str, int]) -> None:
        self._handle, self._offsets = handle, offsets

    def put(self, name: str, start: int, values: Int64s) -> None:
        """Write values (int64) as rows `start` on of column `name`."""
        left, at = values.data.cast("B"), self._offsets[name] + start * values.itemsize
        while left:
            done = os.pwrite(self._handle, left, at)
            left, at = left[done:], at + done


class _Holes:
    """A file to write to in which long buffers are skipped: what lies there is filled later."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        """Write `data`, or move on by its length."""
        size = memoryview(data).nbytes
        if size >= _HOLE:
            self._file.seek(size, os.SEEK_CUR)
        else:
            self._file.write(data)
        return size

    def flush(self) -> None:
        """Give what is written to the system."""
        self._file.flush()

    def close(self) -> None:
        """Do nothing: the file is closed by who opened it."""


def _offsets(path: Path) -> list[int]:
    """Return where in a file the values of each column begin."""
    with pa.memory_map(str(path)) as source:
        start = source.read_buffer().address
        source.seek(0)
        batch = pa.ipc.open_file(source).get_batch(0)
        return [column.buffers()[1].address - start for column in batch.columns]


def _is_ours(column: pa.ChunkedArray) -> bool:
    return bool(column.type == pa.int64() and not column.null_count)


def map_columns(path: Path, names: Sequence[str]) -> dict[str, Int64s] | None:
    """Return the columns `names` of `path` without copying (read-only), or None when it is absent or no such file."""
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowException):
        return None
    if table.column_names != list(names) or not all(map(_is_ours, table.columns)):
        return None
    return {name: values_of(table[name]) for name in names}
