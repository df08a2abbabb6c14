"""The shelf of datasets: add what passes the gate, list it, open it as mapped columns.

Rule 1: chunks are blobs (Parquet), the index lists manifests, the Arrow file is a cache that may vanish at any time.
Rule 2: importing the same rows twice gives the same id; nothing about a dataset ever changes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from kronos.errors import CorruptHistory, InvalidInput, NotFound
from kronos.kernel import canonical
from kronos.kernel.ids import BlobHash
from kronos.market.cache import map_columns, write_columns
from kronos.market.columns import Place
from kronos.market.dataset import CHUNK_ROWS, Chunk, Dataset, Manifest, chunk_leaf, dataset_id, leaves_of
from kronos.market.frames import FRAME, frame_of, table_of, table_of_stream
from kronos.market.generic import RowOptions, choose_fields, prepare_rows
from kronos.market.importing import ImportOptions, prepare_bars
from kronos.market.keyframes import LEVELS, book_after, keyframes_of
from kronos.market.prepared import Prepared
from kronos.market.quality import GAPS_LISTED_MAX
from kronos.market.readers import CSV, file_hash, read_table
from kronos.market.rebuilding import rebuild_columns, unpack
from kronos.market.vectors import array_of, values_of
from kronos.ports import Blobs, DatasetIndex, DatasetRow
from kronos.trading.bars import Bars, Split
from kronos.trading.columns import Int64s
from kronos.trading.streams import COLUMNS_OF, Depth, Quotes, Stream, Trades

__all__ = ["Catalog", "Progress", "stream_of"]

Progress = Callable[[int, int], None]

_KINDS: Final[Mapping[str, type[Trades | Quotes | Depth]]] = {"trades": Trades, "quotes": Quotes, "depth": Depth}


class Catalog:
    """Datasets of one store; safe for several processes that share blobs, index and cache directory."""

    def __init__(self, blobs: Blobs, index: DatasetIndex, cache_dir: Path | str) -> None:
        """Use `blobs` for chunks, `index` for manifests and `cache_dir` for mapped files (made when needed)."""
        self._blobs, self._index, self._cache_dir = blobs, index, Path(cache_dir)
        self._opened: dict[tuple[str, str], Stream] = {}

    # -- import

    def import_file(self, path: Path | str, options: ImportOptions, progress: Progress | None = None) -> Manifest:
        """Import a CSV, Feather or Parquet file of bars and return its manifest (`.dataset` is the handle).

        Raises `DataError` naming file, row and column of the first thing that cannot be accepted.
        """
        path = Path(path)
        table, place = _read(path)
        return self.add(prepare_bars(table, options, place, file_hash(path)), progress)

    def import_rows(self, path: Path | str, options: RowOptions, progress: Progress | None = None) -> Manifest:
        """Import a CSV, Feather or Parquet file of trades or quotes, as `import_file` does bars."""
        path = Path(path)
        table, place = _read(path)
        return self.add(prepare_rows(table, options, place, file_hash(path)), progress)

    def import_frame(
        self, frame: Any, options: ImportOptions | RowOptions, progress: Progress | None = None
    ) -> Manifest:
        """Import a data frame (pandas, polars, Arrow) of bars, or of trades or quotes where `options` say so."""
        if isinstance(options, RowOptions):
            table = table_of(frame, options.mapping, choose=partial(choose_fields, options.kind))
            return self.add(prepare_rows(table, options, FRAME, ""), progress)
        return self.add(prepare_bars(table_of(frame, options.mapping), options, FRAME, ""), progress)

    def import_table(self, table: pa.Table, options: ImportOptions, progress: Progress | None = None) -> Manifest:
        """Import an Arrow table of bars, as `import_file` does; `pyarrow.table(frame)` makes one of a data frame."""
        return self.add(prepare_bars(table, options, Place(file=options.name), ""), progress)

    def add(self, prepared: Prepared, progress: Progress | None = None) -> Manifest:
        """Store columns that have passed the gate, list them, and return the manifest."""
        chunks = self._store(prepared, progress)
        dataset, splits = prepared.dataset([chunk.leaf for chunk in chunks]), list(prepared.splits)
        gaps = [gap for gap in prepared.gaps if gap.explained < gap.missing]
        manifest = Manifest(
            dataset=dataset,
            price_max=prepared.price_max,
            chunks=chunks,
            source=prepared.source,
            splits=splits,
            dividends=list(prepared.dividends),
            jumps=prepared.jumps,
            gaps=gaps[:GAPS_LISTED_MAX],
            gap_count=len(gaps),
            missing=sum(gap.missing - gap.explained for gap in gaps),
            explained=sum(gap.explained for gap in prepared.gaps),
            findings=prepared.findings,
            derived=prepared.derived,
            keyframes=self._keyframes(prepared),
        )
        write_columns(self._path(dataset.id), prepared.columns, COLUMNS_OF[prepared.kind])
        self._index.add(_row(manifest))
        return manifest

    def _store(self, prepared: Prepared, progress: Progress | None) -> list[Chunk]:
        names, columns, rows = COLUMNS_OF[prepared.kind], prepared.columns, prepared.rows
        chunks = []
        for start in range(0, rows, CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, rows)
            blob = self._blobs.put(_parquet({name: columns[name][start:stop] for name in names}))
            leaf = chunk_leaf(prepared.kind, columns, start, stop)
            chunks.append(Chunk(leaf=leaf, blob=blob, rows=stop - start))
            if progress is not None:
                progress(stop, rows)
        return chunks

    def _keyframes(self, prepared: Prepared) -> list[BlobHash]:
        if prepared.kind != "depth":
            return []
        return [self._blobs.put(_parquet(book)) for book in keyframes_of(prepared.columns)]

    # -- list and open

    def list(self) -> list[Dataset]:
        """Return every dataset, newest first."""
        return [_manifest(row).dataset for row in self._index.all()]

    def find(self, name_or_id: str) -> Dataset:
        """Return the dataset of that name, id or id prefix; raise `NotFound`."""
        return self.manifest(name_or_id).dataset

    def manifest(self, dataset: Dataset | str) -> Manifest:
        """Return what the import of a dataset found; raise `NotFound`.

        The same rows may be listed under several names: a handle finds its own listing, and stays what it is.
        """
        if not isinstance(dataset, Dataset):
            return _manifest(self._index.find(dataset))
        try:
            found = self._index.find(f"{dataset.name}@{dataset.id}")
        except NotFound:
            found = self._index.find(dataset.id)
        return msgspec.structs.replace(_manifest(found), dataset=dataset)

    def open(self, dataset: Dataset | str) -> Bars:
        """Return a dataset's bars as `stream` does; raise `InvalidInput` for one that holds something else."""
        opened = self.stream(dataset)
        if not isinstance(opened, Bars):
            kind = type(opened).__name__.lower()
            name = dataset.name if isinstance(dataset, Dataset) else dataset
            raise InvalidInput(
                f"dataset {name} holds {kind}, not bars"
                + (": make candles of it first (kronos data candles)" if kind == "trades" else ""),
                field="dataset",
                value=name,
            )
        return opened

    def stream(self, dataset: Dataset | str) -> Stream:
        """Return a dataset as read-only mapped columns, rebuilt from its chunks when the cache is gone.

        Raises `NotFound` for an unknown dataset, `CorruptHistory` when its chunks are not what its id names.
        """
        manifest = self.manifest(dataset)
        key = manifest.dataset.id, manifest.dataset.instrument
        if key not in self._opened:
            columns = map_columns(self._path(manifest.dataset.id), COLUMNS_OF[manifest.dataset.kind])
            if columns is None or not _matches(columns, manifest):
                columns = self._rebuild(manifest)
            self._opened[key] = stream_of(
                manifest.dataset, columns, splits=manifest.splits, price_max=manifest.price_max
            )
        return self._opened[key]

    def book_before(self, dataset: Dataset | str, row: int) -> dict[str, Int64s]:
        """Return the book of a depth dataset before `row`: side, price and quantity of every level, best ones first.

        Folded from the keyframe before; raises `InvalidInput` for a row that is not there or a dataset without a book.
        """
        manifest = self.manifest(dataset)
        stream = self.stream(dataset)
        if not isinstance(stream, Depth) or not 0 <= row <= stream.rows:
            raise InvalidInput(
                f"dataset {manifest.dataset.name} has no book before row {row}: it holds {manifest.dataset.rows} rows "
                f"of {manifest.dataset.kind}",
                field="row",
                value=str(row),
            )
        place = min(row // CHUNK_ROWS, len(manifest.keyframes) - 1)
        blob = manifest.keyframes[place]
        frame = unpack(self._blobs.get(blob), blob)
        book = {name: values_of(frame[name]) for name in LEVELS}
        columns = {name: getattr(stream, name) for name in COLUMNS_OF["depth"]}
        return book_after(book, columns, place * CHUNK_ROWS, row) if row > place * CHUNK_ROWS else book

    def table(self, dataset: Dataset | str, *, since_ns: int | None = None, until_ns: int | None = None) -> pa.Table:
        """Return the rows of a dataset from `since_ns` to before `until_ns` (ns UTC; None: no limit).

        Bars are chosen by their open time, other rows by when they happened; `frames.frame_of` makes a data frame.
        """
        stream = self.stream(dataset)
        times = stream.open_time if isinstance(stream, Bars) else stream.time
        start = 0 if since_ns is None else int(np.searchsorted(times, since_ns, side="left"))
        stop = stream.rows if until_ns is None else int(np.searchsorted(times, until_ns, side="left"))
        return table_of_stream(stream, start_row=start, stop_row=max(start, stop))

    def frame(self, dataset: Dataset | str, *, since_ns: int | None = None, until_ns: int | None = None) -> Any:
        """Return `table` as a pandas DataFrame; raise `Unavailable` naming the extra when pandas is not installed."""
        return frame_of(self.table(dataset, since_ns=since_ns, until_ns=until_ns))

    def _rebuild(self, manifest: Manifest) -> dict[str, Int64s]:
        """Put the cache file together from its chunks and map it."""
        path, names = self._path(manifest.dataset.id), COLUMNS_OF[manifest.dataset.kind]
        rebuild_columns(path, manifest, self._blobs)
        columns = map_columns(path, names)
        if columns is None:
            raise CorruptHistory(f"{path} vanished while it was made: open the dataset again", path=str(path))
        return columns

    def _path(self, dataset: str) -> Path:
        return self._cache_dir / f"{dataset}.arrow"


def _read(path: Path) -> tuple[pa.Table, Place]:
    table, kind = read_table(path)
    return table, Place(file=path.name, first_line=2 if kind == CSV else None)


def stream_of(found: Dataset, given: dict[str, Int64s], *, splits: Sequence[Split], price_max: int | None) -> Stream:
    """Return the columns of a dataset as what a session reads."""
    columns: dict[str, Any] = given
    grid: dict[str, Any] = {
        "dataset": found.id,
        "instrument": found.instrument,
        "tick": found.tick,
        "volume_step": found.volume_step,
    }
    kind = _KINDS.get(found.kind)
    if kind is not None:
        return kind(**grid, **columns)
    return Bars(**grid, interval_ns=found.interval_ns, splits=tuple(splits), price_max=price_max, **columns)


def _matches(columns: dict[str, Int64s], manifest: Manifest) -> bool:
    """Return whether columns are those that the dataset's id names, chunk by chunk."""
    found = manifest.dataset
    if any(len(column) != found.rows for column in columns.values()):
        return False
    return found.id == dataset_id(leaves_of(found.kind, columns), found, splits=manifest.splits)


def _parquet(columns: dict[str, Int64s]) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(
        pa.table({name: array_of(values) for name, values in columns.items()}),
        sink,
        compression="zstd",
        use_dictionary=False,
        column_encoding=dict.fromkeys(columns, "DELTA_BINARY_PACKED"),
    )
    return sink.getvalue()


def _row(manifest: Manifest) -> DatasetRow:
    found = manifest.dataset
    return DatasetRow(
        id=found.id,
        name=found.name,
        kind=found.kind,
        instrument=found.instrument,
        rows=found.rows,
        start_ns=found.start_ns,
        end_ns=found.end_ns,
        manifest=canonical.encode(manifest),
    )


def _manifest(row: DatasetRow) -> Manifest:
    return canonical.decode(row.manifest, Manifest)
