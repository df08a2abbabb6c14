"""Binance's public archive becomes datasets, and what is wrong with a file is told."""

from __future__ import annotations

import hashlib
import zipfile
from decimal import Decimal

import numpy as np
import pytest

from kronos.errors import DataError
from kronos.market.archives import ArchiveOptions, prepare_archive
from kronos.market.gate import Quarantined
from kronos.trading.streams import ASK, BID

SPOT_AGG = "13519807,0.00141342,23.0,15373518,15373518,1570752011620,True,True"
FUTURES_AGG = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
KLINE = "1781062020000000,61800.1,61810.0,61790.0,61805.5,12.5,1781062079999999,1,2,3,4,0"


def read(path, **given):
    return prepare_archive(path, ArchiveOptions(name="t", instrument="XRPETH", **given))


@pytest.fixture
def file(tmp_path):
    def write(text: str, name: str = "XRPETH-aggTrades-2019-10-11.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def packed(tmp_path, text: str, *, name: str = "XRPETH-aggTrades-2019-10-11.zip"):
    path = tmp_path / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name.replace(".zip", ".csv"), text)
    (tmp_path / f"{name}.CHECKSUM").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n")
    return path


def lines(count: int = 100) -> str:
    rows = [
        f"{100 + n},0.0014{1000 + n},{n + 1}.0,{n},{n},{1570752011620 + n * 10},{'True' if n % 2 else 'False'},True"
        for n in range(count)
    ]
    return "\n".join(rows) + "\n"


def test_spot_aggregate_trades_have_no_header_and_keep_every_number_exact(file):
    found = read(file(lines()))
    assert (found.kind, found.rows, found.tick, found.volume_step) == ("trades", 100, Decimal("1E-8"), Decimal(1))
    assert found.columns["price"][:2].tolist() == [141000, 141001]
    assert found.columns["time"][0] == 1570752011620_000_000
    assert found.columns["side"][:2].tolist() == [BID, ASK], "a buyer that is the maker: the aggressor sold"
    assert found.columns["source"][[0, -1]].tolist() == [100, 199]


def test_microseconds_are_told_by_their_digits(file):
    found = read(file(SPOT_AGG.replace("1570752011620", "1770752011620123") + "\n"))
    assert found.columns["time"].tolist() == [1770752011620123_000]


def test_futures_files_have_a_header_and_one_column_less(file):
    text = f"{FUTURES_AGG}\n1,61800.2,0.5,1,1,1723161255000,true\n2,61800.3,0.5,2,2,1723161255001,false\n"
    found = read(file(text))
    assert (found.tick, found.rows) == (Decimal("0.1"), 2)
    assert found.columns["side"].tolist() == [ASK, BID]


def test_spot_trades_are_told_from_futures_aggregates_by_their_cells(file):
    found = read(file("7,0.1,2.0,0.2,1570752011620,True,True\n8,0.1,2.0,0.2,1570752011621,False,True\n"))
    assert found.columns["source"].tolist() == [7, 8]
    assert found.columns["quantity"].tolist() == [2, 2]


def test_klines_become_bars(file):
    second = KLINE.replace("1781062020000000", "1781062080000000").replace("1781062079999999", "1781062139999999")
    found = read(file(f"{KLINE}\n{second}\n", "BTCUSDT-1m-2026-06.csv"))
    assert (found.kind, found.interval_ns, found.rows) == ("bars", 60_000_000_000, 2)
    assert found.columns["close"].tolist() == [618055, 618055]


def test_a_zip_is_read_when_its_checksum_agrees(tmp_path):
    path = packed(tmp_path, lines())
    found = read(path)
    assert found.rows == 100
    assert found.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_wrong_checksum_names_both_and_what_to_do(tmp_path):
    path = packed(tmp_path, lines())
    (tmp_path / f"{path.name}.CHECKSUM").write_text(f"{'0' * 64}  {path.name}\n")
    with pytest.raises(DataError, match=r"its SHA-256 is [0-9a-f]{64}, .*CHECKSUM says 0{64}: fetch it again"):
        read(path)


@pytest.mark.parametrize("keep", [10, 200, 700])
def test_a_zip_that_is_cut_short_is_told(tmp_path, keep):
    path = packed(tmp_path, lines())
    (tmp_path / f"{path.name}.CHECKSUM").unlink()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="is no zip file, or is cut short: fetch it again"):
        read(path)


def test_a_zip_with_damaged_bytes_is_told(tmp_path):
    path = packed(tmp_path, lines())
    (tmp_path / f"{path.name}.CHECKSUM").unlink()
    data = bytearray(path.read_bytes())
    data[100] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="cannot be unpacked"):
        read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines(2) + "102,0.0014,1.0,5,5,1570752011640000,True,True\n", r"row 2 \(line 3\).*mixed units"),
        ("1,2,3,4\n", "has 4 columns, which is no known format"),
        ("100,0.0014,1.0,5,5,,True,True\n", r"row 0 .*column time: the timestamp is missing"),
        ("100,nan,1.0,5,5,1570752011620,True,True\n", "column price: nan is no price"),
        ("100,0.0014,1.0,5,5,1570752011620,perhaps,True\n", "column buyer_maker|perhaps is neither true nor false"),
        ("\n", "is empty"),
        (FUTURES_AGG + "\n", "has no rows"),
    ],
)
def test_what_cannot_be_read_names_file_row_and_column(file, text, message):
    with pytest.raises(DataError, match=message):
        read(file(text))


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"1570752011640": "1570752011500"}, "order"),
        ({"\n102,": "\n101,"}, "duplicate"),
        ({"\n104,": "\n904,"}, "gap"),
        ({",1.0,0,0,": ",0.0,0,0,"}, "value"),
    ],
)
def test_the_gate_holds_back_with_a_report_until_the_check_is_accepted(file, change, check):
    text = lines(5)
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(Quarantined) as held:
        read(file(text))
    report = held.value.facts["report"]
    assert check in {each["check"] for each in report}
    assert all(each["count"] and each["rows"] for each in report)
    accepted = read(file(text), accept=tuple({each["check"] for each in report}))
    assert accepted.rows == 5
    assert check in {each.check for each in accepted.findings}


def test_a_check_that_does_not_exist_cannot_be_accepted(file):
    with pytest.raises(DataError, match="'everything' is none of value, order"):
        read(file(lines()), accept=("everything",))


@pytest.mark.exactness
def test_candles_of_the_aggregate_trades_equal_a_data_frame_aggregation(market_data, catalog):
    pandas = pytest.importorskip("pandas")
    from kronos.market.candles import prepare_candles

    (path,) = (market_data / "binance_aggtrades_xrpeth").glob("*.csv")
    trades = catalog.stream(catalog.add(read(path)).dataset)
    frame = pandas.read_csv(path, header=None, dtype={1: str, 2: str})
    index = pandas.to_datetime(frame[5], unit="ms", utc=True)
    price = frame[1].map(Decimal).set_axis(index)
    volume = frame[2].map(Decimal).set_axis(index)
    for rule, interval_ns in (("1s", 10**9), ("1min", 60 * 10**9), ("17min", 17 * 60 * 10**9), ("1h", 3600 * 10**9)):
        made = prepare_candles(trades, interval_ns, name="c")
        groups = price.groupby(price.index.floor(rule))
        for field, values in {
            "open": groups.first(),
            "high": groups.max(),
            "low": groups.min(),
            "close": groups.last(),
        }.items():
            assert [value * trades.tick for value in made.columns[field].tolist()] == values.tolist(), (rule, field)
        assert made.columns["volume"].tolist() == volume.groupby(volume.index.floor(rule)).sum().tolist()
        assert np.array_equal(made.columns["open_time"], groups.first().index.as_unit("ns").asi8)
        assert made.derived == trades.dataset
