"""Raw captures become depth, trades and quotes, and their book is the venue's."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from kronos.errors import DataError
from kronos.market.captures import CaptureOptions, prepare_capture
from kronos.market.gate import Quarantined
from kronos.trading.book import Book
from kronos.trading.streams import DELTA, SNAPSHOT

MS = 1_000_000
START = 1723161255_000


def depth(first, last, before, bids, asks, at=START):
    data = {"e": "depthUpdate", "E": at, "T": at, "s": "X", "U": first, "u": last, "b": bids, "a": asks}
    return {"stream": "x@depth", "data": data | ({} if before is None else {"pu": before})}


def snapshot(last, bids, asks):
    return {"lastUpdateId": last, "E": START, "T": START, "bids": bids, "asks": asks}


def trade(number, price="100.1", at=START):
    data = {"e": "trade", "E": at, "T": at, "s": "X", "t": number, "p": price, "q": "0.5", "m": True}
    return {"stream": "x@trade", "data": data}


GOOD = [
    depth(1, 5, 0, [["99.0", "1"]], []),
    depth(6, 12, 5, [["100.0", "2.5"]], [["101.0", "1"]]),
    snapshot(10, [["100.0", "2"], ["99.5", "4"]], [["100.5", "3"]]),
    depth(13, 15, 12, [["99.5", "0"]], [["100.5", "0"]]),
    trade(7),
    {"stream": "x@bookTicker", "data": {"u": 15, "s": "X", "b": "100.0", "B": "2.5", "a": "101.0", "A": "1"}},
]


@pytest.fixture
def capture(tmp_path):
    def write(messages, *, behind_ns: int = -5 * MS):
        path = tmp_path / "x.gz"
        lines = [
            f"{START * MS - behind_ns + number} {json.dumps(message)}\n" for number, message in enumerate(messages)
        ]
        path.write_bytes(gzip.compress("".join(lines).encode()))
        return path

    return write


def read(path, **given):
    made = prepare_capture(path, CaptureOptions(name="x", instrument="X", **given))
    return {each.kind: each for each in made}


def test_the_snapshot_comes_first_and_what_it_holds_is_left_out(capture):
    found = read(capture(GOOD))["depth"].columns
    assert found["kind"].tolist() == [SNAPSHOT] * 3 + [DELTA] * 4
    assert found["source"].tolist() == [10, 10, 10, 12, 12, 15, 15]
    assert (np.diff(found["available"]) >= 0).all()
    book = Book()
    for row in zip(*(found[name].tolist() for name in ("kind", "side", "price", "quantity", "source")), strict=True):
        book.apply(*row)
    assert book.bid == (1000, 25)
    assert book.ask == (1010, 10)
    assert book.bids(5) == [(1000, 25)]


def test_all_streams_share_one_grid_of_numbers(capture):
    found = read(capture(GOOD))
    assert {(str(each.tick), str(each.volume_step)) for each in found.values()} == {("0.1", "0.1")}
    assert found["trades"].columns["price"].tolist() == [1001]
    assert found["quotes"].columns["bid_quantity"].tolist() == [25]


def test_a_tick_without_the_venues_time_happened_when_it_was_known(capture):
    quotes = read(capture(GOOD))["quotes"].columns
    assert quotes["time"].tolist() == quotes["available"].tolist()
    late = read(capture(GOOD, behind_ns=1200 * MS), clock="shift")["quotes"].columns
    assert late["time"].tolist() == late["available"].tolist()


@pytest.mark.parametrize(
    ("messages", "check"),
    [
        ([*GOOD, depth(17, 18, 16, [["98.0", "1"]], [])], "sequence"),
        ([*GOOD, trade(9)], "gap"),
        ([*GOOD, trade(8), trade(8)], "duplicate"),
        ([*GOOD, trade(8, at=START - 1)], "order"),
        ([depth(1, 5, 0, [["99.0", "1"]], []), trade(1)], None),
    ],
)
def test_the_gate_names_what_is_wrong_with_a_capture(capture, messages, check):
    if check is None:
        found = read(capture(messages))
        assert set(found) == {"trades"}, "depth without a snapshot means nothing"
        return
    with pytest.raises(Quarantined) as held:
        read(capture(messages))
    assert check in {each["check"] for each in held.value.facts["report"]}


def test_a_clock_that_runs_behind_is_held_back_until_it_is_shifted(capture):
    path = capture(GOOD, behind_ns=1200 * MS)
    with pytest.raises(Quarantined, match=r"skew: it was known up to 1\.200 s before it happened"):
        read(path)
    found = read(path, clock="shift")
    for each in found.values():
        assert (each.columns["available"] >= each.columns["time"]).all()
        assert [finding.check for finding in each.findings] == ["skew"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hello\n", r"x\.gz, line 1: expected <local ns> <json>"),
        (b"1723161255000000000 {broken\n", r"x\.gz, line 1: "),
        (b'1723161255000000000 {"stream":"x@other","data":{}}\n', "no depth, trade or book ticker is in it"),
    ],
)
def test_what_is_no_capture_is_told_with_its_line(tmp_path, data, message):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(data))
    with pytest.raises(DataError, match=message):
        read(path)


def test_a_capture_that_is_cut_short_is_told(capture):
    path = capture(GOOD * 50)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="is cut short or damaged"):
        read(path)


@pytest.mark.exactness
def test_after_each_update_the_book_is_what_the_book_ticker_said(market_data):
    path = market_data / "binance_ws_20240808" / "usdm_btcusdt_20240808.gz"
    found = read(path, clock="shift")
    rows, quotes = found["depth"].columns, found["quotes"].columns
    ids = quotes["source"]
    tops = list(zip(*(quotes[name].tolist() for name in ("bid", "bid_quantity", "ask", "ask_quantity")), strict=True))
    ends = np.flatnonzero(np.append(np.diff(rows["source"]) != 0, True)).tolist()
    ticker = np.searchsorted(ids, rows["source"][ends], side="right") - 1
    book, compared, start = Book(), 0, 0
    cells = [rows[name].tolist() for name in ("kind", "side", "price", "quantity", "source")]
    for end, known in zip(ends, ticker.tolist(), strict=True):
        for row in range(start, end + 1):
            book.apply(*(column[row] for column in cells))
        start = end + 1
        if cells[0][end] == DELTA:
            assert (*book.bid, *book.ask) == tops[known], f"after update {cells[4][end]}"
            compared += 1
    assert compared == 6_547, "6,546 whole updates after the snapshot, and the one that it cuts in two"
