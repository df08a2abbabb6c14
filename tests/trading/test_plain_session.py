"""The fast steps equal the plain ones where strategies, instruments and timeframes are several and all travels."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.errors import InvalidInput
from kronos.trading import Bars, Latency, Rate, RouteConfig, Session, SessionConfig
from kronos.trading.dispatch import Dispatch
from kronos.trading.plain import PlainSession
from kronos.trading.timeline import Timeline
from kronos.trading.venue.wakes import Wakes
from kronos.trading.views import bars
from tests.trading.test_plain import MINUTE_NS, Random, bars_of


class Both(Random):
    """Asks for orders in the instrument whose bar it hears, sets timers, and at last raises."""

    subscribes = (bars("A", "1m"), bars("B"), bars("A", "5m"))

    def ask(self, ctx, bar, rng) -> None:
        if rng.integers(6) == 0:
            ctx.timer(ctx.time + int(rng.integers(1, 20)) * MINUTE_NS // 3, "later")
        if rng.integers(90) == 0:
            raise ValueError(bar.row)
        side, sign = (ctx.buy, 1) if rng.integers(2) else (ctx.sell, -1)
        far, name = int(rng.integers(1, 9)), bar.instrument
        match int(rng.integers(6)):
            case 0 | 1:
                side(2, instrument=name)
            case 2:
                side(1, type="limit", limit=bar.close - sign * far, instrument=name)
            case 3:
                side(1, type="trailing", trail=far, instrument=name)
            case 4 if ctx.open_orders:
                ctx.cancel(ctx.open_orders[0])
            case 5 if ctx.open_orders:
                ctx.modify(ctx.open_orders[-1], 3)

    def on_fill(self, ctx, fill) -> None:
        self.seen += ctx.time + int(ctx.features.latest if ctx.now >= 0 else 0)
        if fill.order_id % 4 == 0:
            ctx.buy(1, instrument="B" if fill.instrument == 0 else "A")

    def on_timer(self, ctx, timer) -> None:
        self.seen += ctx.time
        ctx.sell(1, instrument="B")


class One(Random):
    subscribes = (bars("A", "1m"),)

    def ask(self, ctx, bar, rng) -> None:
        super().ask(ctx, bar, rng)
        self.seen += len(ctx.open_orders)


def streams_of(rows: int, seed: int, offset_ns: int) -> list[Bars]:
    a, b = bars_of(rows, seed), bars_of(max(2, rows // 2), seed + 1)
    change = msgspec.structs.replace
    times = {"open_time": a.open_time[0] + np.arange(rows) * MINUTE_NS}
    five = a.open_time[0] + np.arange(rows // 5 + 1) * 5 * MINUTE_NS
    coarse = bars_of(five.shape[0], seed + 2)
    return [
        change(a, dataset="a", instrument="A", **times),
        change(b, dataset="b", instrument="B", open_time=times["open_time"][: b.rows] + offset_ns),
        change(coarse, dataset="a5", instrument="A", interval_ns=5 * MINUTE_NS, open_time=five),
    ]


def played(kind: type[Session], streams: list[Bars], seed: int, every: int, latency: Latency) -> tuple:
    config = SessionConfig(long_only=False, check_cash=False, latency=latency, slippage_ticks=1)
    asked = {"seed": seed, "every": every}
    session = kind(streams, [Both(asked), One({**asked, "seed": seed + 1})], config)
    result = session.run()
    return session.take(), result.core_chain, result.user_chain


NS = st.sampled_from([0, 1, MINUTE_NS // 3, MINUTE_NS, 7 * MINUTE_NS])


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6), every=st.sampled_from([1, 3, 11]), rows=st.integers(10, 120),
    offset=st.sampled_from([0, 1, MINUTE_NS // 2]), latency=st.builds(Latency, feed_ns=NS, order_ns=NS, report_ns=NS),
)  # fmt: skip
def test_the_fast_steps_equal_the_plain_ones_record_by_record(seed, every, rows, offset, latency) -> None:
    streams = streams_of(rows, seed, offset)
    assert played(Session, streams, seed, every, latency) == played(PlainSession, streams, seed, every, latency)


ROW_AT, SEARCH, STEP = Timeline.row_at, Wakes.search, Dispatch._step

FAULTS = {
    "timers come before the row of their time": (Timeline, "row_at", lambda self, at, after=False: ROW_AT(self, at)),
    "bars are searched a row late": (Wakes, "search", lambda self, at, stop: min(stop, SEARCH(self, at, stop) + 1)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_planted_in_the_fast_steps_is_caught(fault, monkeypatch) -> None:
    latency = Latency(feed_ns=MINUTE_NS // 3, order_ns=MINUTE_NS, report_ns=1)
    streams = streams_of(100, 5, 0)
    expected = played(PlainSession, streams, 5, 3, latency)
    place, name, broken = FAULTS[fault]
    monkeypatch.setattr(place, name, broken)
    try:
        found = played(Session, streams, 5, 3, latency)
    except Exception:
        found = None
    assert found != expected


def test_what_is_played_is_much_and_ends_with_a_stop() -> None:
    latency = Latency(feed_ns=MINUTE_NS // 3, order_ns=MINUTE_NS, report_ns=1)
    records, *_ = played(PlainSession, streams_of(100, 5, 0), 5, 3, latency)
    kinds = {type(record).__name__ for record in records}
    assert kinds >= {"OrderFilled", "TimerFired", "CommandTravels", "ReportTravels", "OrderCancelled"}
    assert {record.instrument for record in records if type(record).__name__ == "OrderFilled"} == {0, 1}


def test_plain_steps_refuse_what_they_do_not_know() -> None:
    limited = SessionConfig(routes=(RouteConfig(order_rate=Rate(limit=1, period_ns=1)),))
    with pytest.raises(InvalidInput, match="plain steps read bars and trades, and know no limits of routes"):
        PlainSession(streams_of(10, 1, 0), [One()], limited)
