"""The shelf of datasets: import what passes the gate, list it, open it as mapped columns.

Rule 1: chunks are blobs (Parquet), the index lists manifests, the Arrow file is a cache that may vanish at any time.
Rule 2: importing the same rows twice gives the same id; nothing about a dataset ever changes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from kronos.errors import CorruptHistory, InvalidInput, NotFound
from kronos.kernel import canonical
from kronos.kernel.ids import BlobHash
from kronos.market.cache import map_columns, write_columns
from kronos.market.calendars import CALENDARS
from kronos.market.columns import Place, choose_columns, read_numbers, read_times
from kronos.market.dataset import (
    CHUNK_ROWS,
    Chunk,
    Dataset,
    Dividend,
    Manifest,
    Source,
    chunk_leaf,
    dataset_id,
)
from kronos.market.exact import to_steps
from kronos.market.quality import GAPS_LISTED_MAX, check_gaps, check_prices, check_times, find_gaps, find_jumps
from kronos.market.readers import CSV, file_hash, read_table
from kronos.ports import Blobs, DatasetIndex, DatasetRow
from kronos.trading.bars import COLUMNS, Bars, Int64s, Split

__all__ = ["Catalog", "ImportOptions", "Progress"]

Progress = Callable[[int, int], None]
PRICES: Final = ("open", "high", "low", "close")


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to read a table: what is None is detected (mapping, tick, volume step, interval) or not declared (calendar).

    `mapping` is field → column for the fields time, open, high, low, close, volume.
    """

    name: str
    instrument: str
    mapping: dict[str, str] | None = None
    tick: Decimal | None = None
    volume_step: Decimal | None = None
    interval_ns: int | None = None
    gaps: Literal["refuse", "accept"] = "refuse"
    calendar: str | None = None
    splits: tuple[Split, ...] = ()
    dividends: tuple[Dividend, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values that no import can mean."""
        if self.gaps not in {"refuse", "accept"}:
            raise InvalidInput(f"gaps: {self.gaps!r} is neither refuse nor accept", field="gaps", value=self.gaps)
        if self.calendar is not None and self.calendar not in CALENDARS:
            raise InvalidInput(
                f"calendar: {self.calendar!r} is none of {', '.join(CALENDARS)}", field="calendar", value=self.calendar
            )
        for field in ("tick", "volume_step"):
            step = getattr(self, field)
            if step is not None and not (step.is_finite() and step > 0):
                raise InvalidInput(f"{field}: {step} must be positive", field=field, value=str(step))
        if self.interval_ns is not None and self.interval_ns <= 0:
            raise InvalidInput(f"interval: {self.interval_ns} ns must be positive", field="interval_ns")


class Catalog:
    """Datasets of one store; safe for several processes that share blobs, index and cache directory."""

    def __init__(self, blobs: Blobs, index: DatasetIndex, cache_dir: Path | str) -> None:
        """Use `blobs` for chunks, `index` for manifests and `cache_dir` for mapped files (made when needed)."""
        self._blobs, self._index, self._cache_dir = blobs, index, Path(cache_dir)
        self._opened: dict[tuple[str, str], Bars] = {}

    # -- import

    def import_file(self, path: Path | str, options: ImportOptions, progress: Progress | None = None) -> Manifest:
        """Import a CSV, Feather or Parquet file of bars and return its manifest (`.dataset` is the handle).

        Raises `DataError` naming file, row and column of the first thing that cannot be accepted.
        """
        path = Path(path)
        table, kind = read_table(path)
        place = Place(file=path.name, first_line=2 if kind == CSV else None)
        return self._import(table, options, place, file_hash(path), progress)

    def import_table(self, table: pa.Table, options: ImportOptions, progress: Progress | None = None) -> Manifest:
        """Import an Arrow table of bars, as `import_file` does."""
        return self._import(table, options, Place(file=options.name), "", progress)

    def _import(
        self, table: pa.Table, options: ImportOptions, place: Place, sha256: str, progress: Progress | None
    ) -> Manifest:
        if not table.num_rows:
            place.refuse("has no rows")
        names = choose_columns(table.column_names, options.mapping, place)
        times = read_times(table[names["time"]], names["time"], place)
        interval_ns = check_times(times, options.interval_ns, names["time"], place)
        columns, tick, volume_step = _steps(table, names, options, place)
        columns["open_time"] = times
        check_prices(columns, names, place)
        gaps = find_gaps(times, interval_ns, options.calendar)
        check_gaps(gaps, accept=options.gaps == "accept", calendar=options.calendar, place=place)
        chunks = self._store(columns, progress)
        splits = list(options.splits)
        dataset = Dataset(
            id=dataset_id(
                [chunk.leaf for chunk in chunks],
                rows=len(times),
                tick=tick,
                volume_step=volume_step,
                interval_ns=interval_ns,
                splits=splits,
            ),
            name=options.name,
            kind="bars",
            instrument=options.instrument,
            tick=tick,
            volume_step=volume_step,
            rows=len(times),
            start_ns=int(times[0]),
            end_ns=int(times[-1]) + interval_ns,
            interval_ns=interval_ns,
            calendar=options.calendar or "24x7",
        )
        manifest = Manifest(
            dataset=dataset,
            price_max=int(columns["high"].max()),
            chunks=chunks,
            source=Source(file=place.file, sha256=sha256, mapping=names),
            splits=splits,
            dividends=list(options.dividends),
            jumps=find_jumps(times, columns["close"], (split.row for split in splits)),
            gaps=[gap for gap in gaps if gap.explained < gap.missing][:GAPS_LISTED_MAX],
            gap_count=sum(gap.explained < gap.missing for gap in gaps),
            missing=sum(gap.missing - gap.explained for gap in gaps),
            explained=sum(gap.explained for gap in gaps),
        )
        write_columns(self._path(dataset.id), columns)
        self._index.add(_row(manifest))
        return manifest

    def _store(self, columns: dict[str, Int64s], progress: Progress | None) -> list[Chunk]:
        rows, chunks = len(columns["open_time"]), []
        for start in range(0, rows, CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, rows)
            blob = self._blobs.put(_parquet({name: columns[name][start:stop] for name in COLUMNS}))
            chunks.append(Chunk(leaf=chunk_leaf(columns, start, stop), blob=blob, rows=stop - start))
            if progress is not None:
                progress(stop, rows)
        return chunks

    # -- list and open

    def list(self) -> list[Dataset]:
        """Return every dataset, newest first."""
        return [_manifest(row).dataset for row in self._index.all()]

    def find(self, name_or_id: str) -> Dataset:
        """Return the dataset of that name, id or id prefix; raise `NotFound`."""
        return self.manifest(name_or_id).dataset

    def manifest(self, dataset: Dataset | str) -> Manifest:
        """Return what the import of a dataset found; raise `NotFound`.

        The same bars may be listed under several names: a handle finds its own listing, and stays what it is.
        """
        if not isinstance(dataset, Dataset):
            return _manifest(self._index.find(dataset))
        try:
            found = self._index.find(f"{dataset.name}@{dataset.id}")
        except NotFound:
            found = self._index.find(dataset.id)
        return msgspec.structs.replace(_manifest(found), dataset=dataset)

    def open(self, dataset: Dataset | str) -> Bars:
        """Return a dataset's bars as read-only mapped columns, rebuilt from its chunks when the cache is gone.

        Raises `NotFound` for an unknown dataset, `CorruptHistory` when its chunks are not what its id names.
        """
        manifest = self.manifest(dataset)
        found = manifest.dataset
        key = found.id, found.instrument
        if key not in self._opened:
            columns = map_columns(self._path(found.id))
            if columns is None or not _matches(columns, manifest):
                columns = self._rebuild(manifest)
            self._opened[key] = Bars(
                dataset=found.id,
                instrument=found.instrument,
                tick=found.tick,
                volume_step=found.volume_step,
                interval_ns=found.interval_ns,
                splits=tuple(manifest.splits),
                price_max=manifest.price_max,
                **columns,
            )
        return self._opened[key]

    def _rebuild(self, manifest: Manifest) -> dict[str, Int64s]:
        """Put the cache file together from its chunks and map it."""
        tables = [_unpack(self._blobs.get(chunk.blob), chunk.blob) for chunk in manifest.chunks]
        columns = {name: np.concatenate([table[name].to_numpy() for table in tables]) for name in COLUMNS}
        if not _matches(columns, manifest):
            raise CorruptHistory(
                f"dataset {manifest.dataset.name}: its chunks are not {manifest.dataset.id[:12]}; import it again",
                dataset=manifest.dataset.id,
            )
        path = self._path(manifest.dataset.id)
        write_columns(path, columns)
        return map_columns(path) or columns

    def _path(self, dataset: str) -> Path:
        return self._cache_dir / f"{dataset}.arrow"


def _steps(
    table: pa.Table, names: Mapping[str, str], options: ImportOptions, place: Place
) -> tuple[dict[str, Int64s], Decimal, Decimal]:
    """Return prices in ticks and volume in steps, with the tick and the step; a file without volume has none (0)."""
    prices: dict[str, npt.NDArray[Any]] = {
        names[field]: read_numbers(table[names[field]], names[field], place) for field in PRICES
    }
    exact, tick = to_steps(prices, options.tick, place)
    columns = {field: exact[names[field]] for field in PRICES}
    if "volume" not in names:
        columns["volume"] = np.zeros(table.num_rows, dtype=np.int64)
        return columns, tick, Decimal(1)
    name = names["volume"]
    volume, step = to_steps({name: read_numbers(table[name], name, place)}, options.volume_step, place)
    columns["volume"] = volume[name]
    return columns, tick, step


def _matches(columns: dict[str, Int64s], manifest: Manifest) -> bool:
    """Return whether columns are those that the dataset's id names, chunk by chunk."""
    found = manifest.dataset
    if len(columns["open_time"]) != found.rows:
        return False
    starts = range(0, found.rows, CHUNK_ROWS)
    leaves = [chunk_leaf(columns, start, min(start + CHUNK_ROWS, found.rows)) for start in starts]
    return found.id == dataset_id(
        leaves,
        rows=found.rows,
        tick=found.tick,
        volume_step=found.volume_step,
        interval_ns=found.interval_ns,
        splits=manifest.splits,
    )


def _parquet(columns: dict[str, Int64s]) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(
        pa.table(columns),
        sink,
        compression="zstd",
        use_dictionary=False,
        column_encoding=dict.fromkeys(COLUMNS, "DELTA_BINARY_PACKED"),
    )
    return sink.getvalue()


def _unpack(data: bytes, blob: BlobHash) -> pa.Table:
    try:
        return pyarrow.parquet.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise CorruptHistory(f"chunk {blob[:12]} cannot be read: {error}", blob=blob) from error


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
