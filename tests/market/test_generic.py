"""Trades and quotes of any table, ranges and frames out, chunks outside Postgres, keyframes of books."""

from __future__ import annotations

import time
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from kronos.app import Kronos
from kronos.errors import CorruptHistory, DataError, InvalidInput, NotFound
from kronos.market import BringOptions, Catalog, ImportOptions
from kronos.market import dataset as dataset_rooms
from kronos.market.bringing import kind_of_file
from kronos.market.chunks import FolderBlobs
from kronos.market.generic import RowOptions
from kronos.market.prepared import Prepared
from kronos.settings import read_settings
from kronos.trading.streams import ASK, BID, DELTA, SNAPSHOT
from tests.market.conftest import MemoryIndex

START = pd.Timestamp("2024-03-01", tz="UTC")


def trades(rows: int = 500) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "timestamp": START + pd.to_timedelta(np.cumsum(rng.integers(1, 900, rows)), unit="ms"),
            "price": rng.integers(9_900, 10_100, rows) / 100,
            "size": rng.integers(1, 500, rows) / 1000,
            "side": np.where(rng.integers(0, 2, rows) == 1, "buy", "sell"),
            "trade_id": np.arange(rows) + 70,
        }
    )


def quotes(rows: int = 200) -> pd.DataFrame:
    bid = 10_000 + np.arange(rows) % 7
    return pd.DataFrame(
        {
            "time": START + pd.to_timedelta(np.arange(rows), unit="s"),
            "bid": bid / 100, "bid_size": 1.5, "ask": (bid + 1) / 100, "ask_size": 2.5,
        }
    )  # fmt: skip


@pytest.mark.parametrize(("make", "kind"), [(trades, "trades"), (quotes, "quotes")])
def test_every_format_and_a_frame_become_the_same_dataset(make, kind, database_url, tmp_path):
    frame = make()
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    frame.to_feather(tmp_path / "rows.feather")
    with Kronos.open(database_url=database_url, data_dir=tmp_path / "data") as app:
        ids = set()
        for ending in ("csv", "parquet", "feather"):
            (manifest,) = app.importer.bring(tmp_path / f"rows.{ending}", BringOptions(name=ending, instrument="X"))
            ids.add((manifest.dataset.id, manifest.dataset.kind))
        made = app.catalog.import_frame(frame, RowOptions(name="frame", instrument="X", kind=kind))
        assert ids == {(made.dataset.id, kind)}
        out = app.catalog.frame("frame")
        again = app.catalog.import_frame(out, RowOptions(name="again", instrument="X", kind=kind))
        assert again.dataset.id == made.dataset.id


@pytest.mark.parametrize("name", ["trades.csv", "X-aggTrades-2024-01.csv", "quotes-1m-2024-01.csv"])
def test_a_table_is_told_by_its_columns_whatever_its_name(name, tmp_path):
    six = trades(5).assign(received=START)
    for frame, kind in ((trades(5), "trades"), (trades(5)[["timestamp", "price", "size"]], "trades"), (six, "trades"),
                        (quotes(5), "quotes")):  # fmt: skip
        frame.to_csv(tmp_path / name, index=False)
        assert kind_of_file(tmp_path / name) == kind


def test_numbers_sides_and_both_times_are_kept(catalog):
    frame = trades(5).assign(received=lambda f: f.timestamp + pd.Timedelta("7ms"))
    found = catalog.stream(catalog.import_frame(frame, RowOptions(name="t", instrument="X", kind="trades")).dataset)
    assert found.tick == Decimal("0.01")
    assert (found.price / 100).tolist() == frame["price"].tolist()
    assert [(BID if side == "buy" else ASK) for side in frame["side"]] == found.side.tolist()
    assert (found.available - found.time).tolist() == [7_000_000] * 5
    assert found.source.tolist() == [70, 71, 72, 73, 74]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="side"), "no column for side: map one with side=COLUMN"),
        (lambda f: f.assign(amount=1), "size and amount could each be the quantity"),
        (lambda f: f.assign(side="maybe"), "row 0, column side: 'maybe' is no side"),
        (lambda f: f.assign(timestamp=pd.NaT), "row 0, column timestamp: the timestamp is missing"),
        (lambda f: f.assign(timestamp=[1_700_000_000_000] * 3 + [1_700_000_000_000_000] * 2), "row 3.*mixed units"),
        (lambda f: f.assign(price=[1.0, 1.0, -1.0, 1.0, 1.0]), "value: price or quantity is not > 0 at 1 rows"),
        (lambda f: f.assign(trade_id=[1, 2, 2, 3, 4]), "duplicate: the id is that of the row above at 1 rows"),
        (lambda f: f.assign(trade_id=[1, 2, 3.5, 4, 5]), "3.5 is no sequence number"),
        (lambda f: f.iloc[:0], "has no rows"),
    ],
)
def test_rows_that_cannot_be_read_are_named(catalog, change, message):
    with pytest.raises(DataError, match=message):
        catalog.import_frame(change(trades(5)), RowOptions(name="t", instrument="X", kind="trades"))
    with pytest.raises(InvalidInput, match="kind: 'ticks' is none of bars, trades, quotes"):
        RowOptions(name="t", instrument="X", kind="ticks")


def test_a_range_is_cut_by_time_and_comes_out_as_it_went_in(catalog):
    rows = 400
    times = START + pd.to_timedelta(np.arange(rows), unit="min")
    price = np.arange(rows) % 13 + 100.25
    frame = pd.DataFrame({"time": times, "open": price, "high": price, "low": price, "close": price, "volume": 2.0})
    catalog.import_frame(frame, ImportOptions(name="bars", instrument="X"))
    since, until = times[100].value, times[200].value
    out = catalog.frame("bars", since_ns=since, until_ns=until)
    pd.testing.assert_frame_equal(out, frame.iloc[100:200].reset_index(drop=True), check_dtype=False)
    assert len(catalog.frame("bars", since_ns=until, until_ns=since)) == 0
    assert len(catalog.frame("bars")) == rows


@pytest.mark.parametrize("address", ["{folder}/chunks", "memory://kronos-{name}/chunks"])
def test_chunks_live_in_a_folder_or_a_bucket_and_damage_is_noticed(address, tmp_path):
    url = address.format(folder=tmp_path, name=tmp_path.name)
    blobs, index = FolderBlobs(url), MemoryIndex()
    one = Catalog(blobs, index, tmp_path / "one")
    made = one.import_frame(trades(), RowOptions(name="t", instrument="X", kind="trades"))
    other = Catalog(FolderBlobs(url), index, tmp_path / "another")
    assert other.stream("t").price.tolist() == one.stream("t").price.tolist()
    (chunk,) = made.chunks
    assert blobs.put(blobs.get(chunk.blob)) == chunk.blob
    assert blobs.holds(chunk.blob)
    blobs._files.pipe_file(blobs._path(chunk.blob), b"PAR1 torn")
    assert not blobs.holds(chunk.blob)
    with pytest.raises(CorruptHistory, match="is damaged: its bytes have another hash"):
        Catalog(blobs, index, tmp_path / "third").stream("t")
    with pytest.raises(NotFound, match="is not in"):
        blobs.get("0" * 64)


def test_a_store_that_does_not_exist_is_told_and_a_new_one_serves_what_the_old_one_holds(tmp_path):
    with pytest.raises(InvalidInput, match="chunks: 'nope://x' cannot be opened"):
        FolderBlobs("nope://x")
    old = FolderBlobs(str(tmp_path / "old"))
    blob = old.put(b"once")
    assert FolderBlobs(str(tmp_path / "new"), behind=old).get(blob) == b"once"


def test_runs_read_chunks_from_the_folder_that_the_environment_names(database_url, tmp_path):
    environment = {"DATABASE_URL": database_url, "KRONOS_DATA_DIR": str(tmp_path), "KRONOS_CHUNKS": str(tmp_path / "c")}
    with Kronos.open(read_settings(environment)) as app:
        made = app.catalog.import_frame(trades(), RowOptions(name="t", instrument="X", kind="trades"))
        assert app.chunks.holds(made.chunks[0].blob)
        with pytest.raises(NotFound):
            app.blobs.get(made.chunks[0].blob)
        assert list(app.upkeep.fsck()) == []
        for path in (tmp_path / "c").rglob("*.parquet"):
            path.unlink()
        assert "is not stored" in next(iter(app.upkeep.fsck())).what


def test_a_second_load_is_faster_and_the_store_smaller_than_the_file(tmp_path):
    frame = trades(60_000)
    path = tmp_path / "rows.csv"
    frame.to_csv(path, index=False)
    blobs, index = FolderBlobs(str(tmp_path / "chunks")), MemoryIndex()
    begun = time.process_time()
    Catalog(blobs, index, tmp_path / "cache").import_rows(path, RowOptions(name="t", instrument="X", kind="trades"))
    first = time.process_time() - begun
    begun = time.process_time()
    Catalog(blobs, index, tmp_path / "cache").stream("t")
    second = time.process_time() - begun
    stored = sum(file.stat().st_size for file in (tmp_path / "chunks").rglob("*.parquet"))
    print(f"CSV {path.stat().st_size:,} bytes, store {stored:,}; import {first:.3f} s, load {second:.3f} s of CPU")
    assert stored < path.stat().st_size / 3
    assert second < first / 5


def depth(rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    kind = np.full(rows, DELTA)
    source = np.arange(rows) // 3 + 10
    for start in (0, rows // 2 + 1):
        kind[start : start + 40] = SNAPSHOT
        source[start : start + 40] = source[start]
    source = np.maximum.accumulate(source)
    at = np.arange(rows, dtype=np.int64) * 1_000 + 10**18
    return {
        "time": at, "available": at, "kind": kind, "side": np.where(rng.integers(0, 2, rows) == 1, BID, ASK),
        "price": rng.integers(900, 1_100, rows), "quantity": rng.integers(0, 4, rows), "source": source,
    }  # fmt: skip


def test_the_book_before_any_row_equals_a_plain_fold(catalog, monkeypatch):
    for room in ("keyframes", "catalog"):
        monkeypatch.setattr(f"kronos.market.{room}.CHUNK_ROWS", 64)
    columns = depth(1_000)
    from kronos.market.dataset import Source

    prepared = Prepared(
        kind="depth", name="d", instrument="X", columns=columns, tick=Decimal(1), volume_step=Decimal(1),
        source=Source(file="", sha256="", mapping={}),
    )  # fmt: skip
    monkeypatch.setattr(dataset_rooms, "CHUNK_ROWS", 64)
    manifest = catalog.add(prepared)
    assert len(manifest.keyframes) == 16
    book: dict[tuple[int, int], int] = {}
    for row in range(1_001):
        if row % 37 == 0 or row in (64, 128, 501, 502, 541, 1_000):
            found = catalog.book_before("d", row)
            levels = list(zip(*(found[name].tolist() for name in ("side", "price", "quantity")), strict=True))
            assert levels == sorted(((s, p, q) for (s, p), q in book.items()), key=lambda x: (-x[0], -x[0] * x[1]))
        if row < 1_000:
            snapshot = columns["kind"][row] == SNAPSHOT
            follows = (
                row and columns["kind"][row - 1] == SNAPSHOT and columns["source"][row - 1] == columns["source"][row]
            )
            if snapshot and not follows:
                book.clear()
            key = int(columns["side"][row]), int(columns["price"][row])
            if columns["quantity"][row]:
                book[key] = int(columns["quantity"][row])
            else:
                book.pop(key, None)
    with pytest.raises(InvalidInput, match="has no book before row 1001: it holds 1000 rows of depth"):
        catalog.book_before("d", 1_001)
