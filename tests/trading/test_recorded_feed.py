"""The same strategy on a recorded live-shaped feed: reports come when they came, and the journal says what they did."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import numpy as np
import pytest

from kronos.errors import InvalidInput
from kronos.trading import Bars, MemoryRecorder, RouteConfig, Session, SessionConfig, SmaCross, Split, Strategy, verify
from kronos.trading.adapters import RecordedVenue, read_reports, write_reports
from kronos.trading.adapters.reports import (
    Accepted,
    Cancelled,
    Disconnected,
    Filled,
    Reconnected,
    Rejected,
    Snapshot,
)
from kronos.trading.events import (
    FeedDegraded,
    FeedRestored,
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderRejected,
    OrdersAnchored,
    RiskDecided,
)
from kronos.trading.journal import decode_segment
from kronos.trading.orders import Phase
from kronos.trading.reference import InstrumentConfig

MINUTE_NS = 60_000_000_000
START_NS = 1_600_000_000_000_000_000


def made(name: str, rows: int, *, seed: int = 1, open_time=None) -> Bars:
    close = np.cumsum(np.random.default_rng(seed).integers(-50, 51, rows)).astype(np.int64)
    close += 1_000 - close.min()
    times = np.arange(rows, dtype=np.int64) * MINUTE_NS + START_NS
    return Bars(
        dataset=f"{name}-{seed}", instrument=name, tick=Decimal("0.01"), volume_step=Decimal(1), interval_ns=MINUTE_NS,
        open_time=times if open_time is None else open_time, open=close, high=close + 5, low=close - 5, close=close,
        volume=np.full(rows, 100, dtype=np.int64),
    )  # fmt: skip


def play(strategy, *, streams, reports=None, **settings):
    recorder = MemoryRecorder()
    venues = None if reports is None else {"backtest": RecordedVenue(read_reports(write_reports(reports)))}
    session = Session(streams, [strategy], SessionConfig(**settings), recorder=recorder, venues=venues)
    result = session.run()
    assert verify([segment.data for segment in recorder.segments])
    records = [record for segment in recorder.segments for record in decode_segment(segment.data).decode()]
    return session, result, records


def of(records, kind):
    return [record for record in records if type(record) is kind]


def after(row: int) -> int:
    """A moment in the step of `row`: just after the bar before it has closed."""
    return START_NS + row * MINUTE_NS + 1


def as_reports(records) -> list:
    """What a venue would have said of a run, as its reports."""
    reports: list = []
    for record in records:
        more = {"number": len(reports) + 1, "order_id": getattr(record, "order_id", 0)}
        if type(record) is OrderAccepted:
            at = after(record.row + 1)
            reports.append(Accepted(at=at, known=at, **more))
        if type(record) is OrderFilled:
            at = after(record.row) + 1
            fields = {name: getattr(record, name) for name in ("quantity", "price", "fee", "assumption", "liquidity")}
            reports.append(Filled(at=at, known=at, **more, **fields))
    return reports


def test_a_strategy_runs_unchanged_on_what_a_venue_reported_and_ends_with_the_same_money() -> None:
    streams = [made("A", 400)]
    _, simulated, records = play(SmaCross({"fast": 3, "slow": 8}), streams=streams, fee_rate=Decimal("0.001"))
    reports = as_reports(records)
    assert len(of(records, OrderFilled)) > 20
    session, recorded, heard = play(
        SmaCross({"fast": 3, "slow": 8}), streams=streams, reports=reports, fee_rate=Decimal("0.001")
    )
    told = ("order_id", "quantity", "price", "fee", "row")
    fills = [[[getattr(fill, name) for name in told] for fill in of(each, OrderFilled)] for each in (records, heard)]
    assert fills[0] == fills[1]
    assert (recorded.equity, recorded.position) == (simulated.equity, simulated.position)
    again = play(SmaCross({"fast": 3, "slow": 8}), streams=streams, reports=reports, fee_rate=Decimal("0.001"))[1]
    assert again.core_chain == recorded.core_chain
    assert session.core.outbox.queued == {}


class EveryBar(Strategy):
    """Buys one at every bar, and remembers what it heard."""

    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.heard = []

    def on_bar(self, ctx, bar):
        ctx.buy(1)

    def on_order(self, ctx, report):
        self.heard.append((ctx.row, type(report).__name__))


def live() -> list:
    """Order 1 filled, 2 rejected, 3 never acknowledged; the line down from row 5 to 8; then a snapshot."""
    return [
        Accepted(number=1, at=after(1), known=after(1) + 5, order_id=1),
        Filled(number=2, at=after(1), known=after(1) + 9, order_id=1, quantity=1, price=1000, fee=7),
        Rejected(number=3, at=after(2), known=after(2), order_id=2, reason="insufficient_margin"),
        Disconnected(number=4, at=after(5), known=after(5), reason="heartbeat"),
        Reconnected(number=5, at=after(8), known=after(8)),
        Snapshot(number=6, at=after(8), known=after(8) + 1, version=1, orders=((4, 1, 0),)),
    ]


def test_a_feed_with_a_rejection_a_lost_acknowledgement_and_a_broken_line_is_told_as_it_was() -> None:
    strategy = EveryBar()
    session, result, records = play(strategy, streams=[made("A", 12)], reports=live(), lot=Decimal(1))
    assert [(fill.order_id, fill.row) for fill in of(records, OrderFilled)] == [(1, 1)]
    assert [(r.order_id, r.row, r.reason) for r in of(records, OrderRejected)] == [
        (2, 2, "insufficient_margin"),
        (3, 8, "not_in_snapshot"),
        (5, 8, "not_in_snapshot"),
    ]
    assert [(r.row, r.operands) for r in of(records, RiskDecided) if not r.allowed] == [
        (row, {"feed": "degraded"}) for row in (5, 6, 7)
    ]
    assert [r.row for r in of(records, OrdersAnchored)] == [8]
    assert (2, "OrderRejected") in strategy.heard
    assert {order.id: order.phase for order in session.core.orders.values()}[4] is Phase.ACCEPTED
    assert session.core.orders[9].phase is Phase.SUBMITTED  # sent after the snapshot, and nobody said a word
    assert result.position == 1


def test_a_silent_stream_pauses_its_instrument_until_it_speaks_again() -> None:
    times = np.arange(20, dtype=np.int64) * MINUTE_NS + START_NS
    broken = made("A", 12, open_time=np.concatenate([times[:6], times[14:20]]))

    class Both(Strategy):
        def on_bar(self, ctx, bar):
            if bar.instrument == "B":
                ctx.buy(1, instrument="A", type="limit", limit=Decimal(1))
                ctx.buy(1, instrument="B", type="limit", limit=Decimal(1))

    session, _, records = play(Both(), streams=[broken, made("B", 20, seed=2)], feed_gap_ns=3 * MINUTE_NS)
    begun, over = of(records, FeedDegraded)[0], of(records, FeedRestored)[0]
    assert (begun.at, over.at) == (START_NS + 9 * MINUTE_NS, START_NS + 15 * MINUTE_NS)
    denied = {session.timeline.time(record.row) for record in of(records, OrderDenied)}
    assert denied == {START_NS + minute * MINUTE_NS for minute in range(9, 15)}
    assert {record.reason for record in of(records, OrderDenied)} == {"trading_disabled"}
    assert len(of(records, OrderDenied)) == 6  # of A alone


class Resting(EveryBar):
    """Rests an order at each of the first bars; raises at row 5 where `falters`."""

    falters = False

    def on_bar(self, ctx, bar):
        if bar.row < 3:
            ctx.buy(1, type="limit", limit=Decimal(1))
        assert not (self.falters and bar.row == 5)


class Faltering(Resting):
    falters = True


@pytest.mark.parametrize(
    ("kind", "split", "gone"),
    [(Faltering, None, None), (Resting, None, after(6) - 1), (Resting, Split(row=6, numerator=2), None)],
    ids=["its strategy is stopped", "it is delisted", "it is split"],
)
def test_what_must_end_at_a_venue_is_sent_a_cancel_and_stands_until_the_venue_answers(kind, split, gone) -> None:
    accepted = [Accepted(number=n, at=after(n), known=after(n), order_id=n) for n in (1, 2, 3)]
    answered = Cancelled(number=4, at=after(8), known=after(8), order_id=2, reason="asked")
    data = msgspec.structs.replace(made("A", 12), splits=(split,) if split else ())
    listed = InstrumentConfig(id="A", venue="V", tick=Decimal("0.01"), delisted_ns=gone)
    venue = RecordedVenue([*accepted, answered])
    session = Session([data], [kind()], SessionConfig(instruments=(listed,)), venues={"backtest": venue})
    assert session.run().finished
    sent = [(command.order_id, command.kind) for _, command in venue.sent]
    assert sent == [(n, "new") for n in (1, 2, 3)] + [(n, "cancel") for n in (1, 2, 3)]
    assert sorted(session.core.orders) == [1, 3]
    assert [(record.order_id, record.reason) for record in of(session.take(), OrderCancelled)] == [(2, "asked")]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"venues": {"elsewhere": RecordedVenue([])}}, "elsewhere are named, the execution contexts are backtest"),
        ({"venues": {"backtest": RecordedVenue([])}, "key": b"k" * 32}, "build the session without a key"),
    ],
)
def test_venues_that_do_not_fit_the_session_are_refused(more, said) -> None:
    with pytest.raises(InvalidInput, match=said):
        Session([made("A", 5)], [EveryBar()], SessionConfig(routes=(RouteConfig(),)), **more)
    with pytest.raises(InvalidInput, match="feed_gap_ns: 0 is no time"):
        SessionConfig(feed_gap_ns=0)
