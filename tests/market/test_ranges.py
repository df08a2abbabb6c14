"""Which rows of several streams lie between two dates."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.market.session_plans import rows_between
from kronos.trading import Bars
from kronos.trading.streams import ASK, Trades
from kronos.trading.timeline import Timeline

GRID = {"tick": Decimal(1), "volume_step": Decimal(1)}
TIMES = st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True).map(sorted)


def bars(name: str, opens: list[int], interval_ns: int = 1) -> Bars:
    flat = np.full(len(opens), 5, dtype=np.int64)
    return Bars(
        dataset=name, instrument=name, **GRID, interval_ns=interval_ns, open_time=np.array(opens, dtype=np.int64),
        open=flat, high=flat, low=flat, close=flat, volume=flat,
    )  # fmt: skip


def trades(name: str, times: list[int]) -> Trades:
    time = np.array(times, dtype=np.int64)
    flat = np.full(len(times), 5, dtype=np.int64)
    return Trades(
        dataset=name, instrument=name, **GRID, time=time, available=time, source=time, price=flat, quantity=flat,
        side=np.full(len(times), ASK),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    opens=st.lists(TIMES, min_size=1, max_size=3),
    since=st.none() | st.integers(-1, 62),
    until=st.none() | st.integers(-1, 62),
)
def test_of_bars_of_one_interval_those_lie_in_a_range_that_open_in_it(opens, since, until) -> None:
    streams = [bars(f"b{place}", times) for place, times in enumerate(opens)]
    timeline, (first, stop) = Timeline(streams), rows_between(streams, since, until)
    inside = sorted(
        timeline.ordinal(place, index)
        for place, times in enumerate(opens)
        for index, time in enumerate(times)
        if (since is None or time >= since) and (until is None or time < until)
    )
    assert list(range(first, timeline.rows if stop is None else stop)) == inside


def test_a_range_of_streams_of_several_kinds_holds_what_becomes_known_in_it() -> None:
    minutes, five, ticks = (
        bars("m", list(range(0, 600, 60)), 60),
        bars("f", [0, 300], 300),
        trades("t", [5, 130, 180, 590]),
    )
    streams = [minutes, five, ticks]
    first, stop = rows_between(streams, 120, 540)
    timeline = Timeline(streams)
    known = [timeline.time(row) for row in range(first, stop)]
    assert known == [130, 180, 180, 240, 300, 300, 360, 420, 480, 540]
    assert rows_between(streams) == (0, None)
    assert rows_between(streams, 601) == rows_between(streams, 300, 300) == (0, 0)
