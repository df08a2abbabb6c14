"""Files in, tables out: CSV, Feather and Parquet, with every failure told as one sentence.

Rule 1: the format is told by content (magic bytes), not by the file's name; gzipped CSV is read as CSV.
Rule 2: CSV cells are read as text: what they mean is decided later, where a bad one can be named.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from kronos.errors import DataError

__all__ = ["CSV", "column_names", "file_hash", "read_table"]

CSV: Final = "csv"
_PARQUET, _ARROW, _FEATHER_1, _GZIP = b"PAR1", b"ARROW1", b"FEA1", b"\x1f\x8b"


def read_table(path: Path) -> tuple[pa.Table, str]:
    """Return the table in `path` and its format (csv, feather, parquet).

    Raises `DataError` naming the file when it is missing, unreadable, empty or malformed.
    """
    head = _head(path)
    try:
        if head.startswith(_PARQUET):
            table, kind = pyarrow.parquet.read_table(path), "parquet"
        elif head.startswith((_ARROW, _FEATHER_1)):
            table, kind = pyarrow.feather.read_table(path), "feather"
        else:
            table, kind = _read_csv(path, gzipped=head.startswith(_GZIP)), CSV
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path.name}: cannot be read as a table: {reason}", file=str(path)) from error
    if table.num_rows == 0:
        raise DataError(f"{path.name}: has no rows", file=str(path))
    return table, kind


def column_names(path: Path) -> list[str]:
    """Return the names of a file's columns, none where it cannot be read: `read_table` then says why."""
    try:
        return [str(name) for name in read_table(path)[0].column_names]
    except DataError:
        return []


def file_hash(path: Path) -> str:
    """Return the SHA-256 of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file", file=str(path)) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}", file=str(path)) from error
    if not head:
        raise DataError(f"{path.name}: is empty", file=str(path))
    return head


def _read_csv(path: Path, *, gzipped: bool) -> pa.Table:
    data = path.read_bytes()
    if gzipped:
        data = gzip.decompress(data)
    if b"\x00" in data[:4096]:
        raise DataError(f"{path.name}: is neither Parquet, Feather nor text", file=str(path))
    header = data.split(b"\n", 1)[0].decode("utf-8-sig", "replace").strip()
    delimiter = max(",;\t", key=header.count)
    names = [cell.strip().strip('"') for cell in header.split(delimiter)]
    options = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=["", "NULL", "null"]
    )
    table = pyarrow.csv.read_csv(
        io.BytesIO(data), parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter), convert_options=options
    )
    return table.rename_columns([name.strip() for name in table.column_names])
