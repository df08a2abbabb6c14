"""A dataset is its content: caches may vanish or rot, chunks may not."""

from __future__ import annotations

import multiprocessing
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kronos.errors import CorruptHistory, NotFound
from kronos.kernel import canonical
from kronos.market import Dataset, ImportOptions
from kronos.market.cache import lay_columns, map_columns, write_columns
from kronos.market.dataset import CHUNK_ROWS
from kronos.trading.bars import COLUMNS


def table(rows: int, *, seed: int = 1) -> pa.Table:
    close = np.random.default_rng(seed).integers(1_000, 2_000, rows)
    time = pa.array(np.arange(rows) * 60_000_000_000 + 1_700_000_000_000_000_000, pa.timestamp("ns", "UTC"))
    return pa.table({"time": time, "open": close, "high": close + 1, "low": close - 1, "close": close, "volume": close})


def take(catalog, rows: int = CHUNK_ROWS + 10, name: str = "t", **options):
    return catalog.import_table(table(rows), ImportOptions(name=name, instrument="T", **options))


def test_a_cache_that_vanished_is_rebuilt_from_its_chunks(catalog, reopened) -> None:
    manifest = take(catalog)
    assert [chunk.rows for chunk in manifest.chunks] == [CHUNK_ROWS, 10]
    before = catalog.open("t")
    catalog._path(manifest.dataset.id).unlink()
    after = reopened().open(manifest.dataset)
    assert catalog._path(manifest.dataset.id).exists()
    for name in COLUMNS:
        assert np.array_equal(getattr(before, name), getattr(after, name))
        assert not getattr(after, name).flags.writeable
    assert after.price_max == after.high.max()


def test_a_cache_that_is_rebuilt_is_byte_for_byte_the_one_that_was_written(catalog, reopened) -> None:
    path = catalog._path(take(catalog, 3 * CHUNK_ROWS + 7).dataset.id)
    written = path.read_bytes()
    path.unlink()
    reopened().open("t")
    assert path.read_bytes() == written


def test_a_file_that_is_not_filled_to_its_end_never_appears(tmp_path) -> None:
    def fill() -> None:
        with lay_columns(tmp_path / "x.arrow", ["a", "b"], CHUNK_ROWS) as laid:
            laid.put("a", 0, np.ones(CHUNK_ROWS, dtype=np.int64))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["flip", "truncate", "other"])
def test_a_damaged_cache_is_noticed_and_rebuilt(catalog, reopened, damage) -> None:
    manifest = take(catalog)
    path = catalog._path(manifest.dataset.id)
    opened = reopened().open("t")
    good = [getattr(opened, name).copy() for name in COLUMNS]
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    elif damage == "truncate":
        del data[len(data) // 2 :]
    else:
        data = bytearray(b"not arrow")
    path.unlink()
    path.write_bytes(data)
    again = reopened().open("t")
    assert all(np.array_equal(getattr(again, name), column) for name, column in zip(COLUMNS, good, strict=True))


def test_damaged_chunks_are_never_served(catalog, blobs, reopened) -> None:
    manifest = take(catalog)
    other = take(catalog, CHUNK_ROWS, name="other")
    path = catalog._path(manifest.dataset.id)
    path.unlink()
    whole = dict(blobs.stored)
    blobs.stored[manifest.chunks[1].blob] = whole[other.chunks[0].blob]
    with pytest.raises(CorruptHistory, match=f"dataset t: its chunks are not {manifest.dataset.id[:12]}"):
        reopened().open("t")
    blobs.stored[manifest.chunks[1].blob] = b"rubbish"
    with pytest.raises(CorruptHistory, match="cannot be read"):
        reopened().open("t")


def test_the_id_covers_rows_tick_interval_and_splits_but_not_names(catalog) -> None:
    from kronos.trading import Split

    base = take(catalog, 100).dataset.id
    assert take(catalog, 100, name="again").dataset.id == base
    assert take(catalog, 101).dataset.id != base
    halves = table(100)
    for index, name in enumerate(halves.column_names):
        if name not in {"time", "volume"}:
            halves = halves.set_column(index, name, pc.divide(halves[name].cast(pa.float64()), 2.0))
    half = catalog.import_table(halves, ImportOptions(name="half", instrument="T", tick=Decimal("0.5")))
    assert [chunk.leaf for chunk in half.chunks] == [chunk.leaf for chunk in catalog.manifest(base).chunks]
    assert half.dataset.id != base
    assert take(catalog, 100, splits=(Split(row=5, numerator=2),)).dataset.id != base


def test_datasets_are_found_by_name_id_and_prefix_and_travel_as_values(catalog) -> None:
    dataset = take(catalog, 100).dataset
    assert catalog.find("t") == catalog.find(dataset.id) == catalog.find(dataset.id[:12]) == dataset
    assert catalog.list() == [dataset]
    assert canonical.decode(canonical.encode(dataset), Dataset) == dataset
    with pytest.raises(NotFound):
        catalog.open("nothing")


def _write(path, value) -> None:
    for _ in range(20):
        write_columns(path, {name: np.full(1000, value, dtype=np.int64) for name in COLUMNS}, COLUMNS)


def test_two_processes_may_build_one_cache_file(tmp_path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "x.arrow"
    writers = [context.Process(target=_write, args=(path, value)) for value in (1, 2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        columns = map_columns(path, COLUMNS)
        if columns is not None:
            assert {int(c.min()) for c in columns.values()} == {int(c.max()) for c in columns.values()}
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["x.arrow"]


def test_the_same_bars_under_another_name_change_nothing_for_who_holds_the_first(catalog, reopened) -> None:
    first = take(catalog, 100, "first").dataset
    other = catalog.import_table(
        table(100), ImportOptions(name="other", instrument="EURUSD", calendar="weekdays", gaps="accept")
    ).dataset
    assert first.id == other.id
    for shelf in (catalog, reopened()):
        assert (shelf.open(first).instrument, shelf.open(other).instrument) == ("T", "EURUSD")
        assert shelf.manifest(first).dataset == first
        assert shelf.find(f"first@{first.id}") == first
        assert {each.name for each in shelf.list()} == {"first", "other"}
