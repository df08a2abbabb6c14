"""One suite for every way to a venue, and a recorded live-shaped feed that one session after another hears."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest

from kronos.errors import DataError
from kronos.trading.accounts import Contract, new_account
from kronos.trading.adapters import (
    Reception,
    RecordedVenue,
    SimulatedVenue,
    VenueAdapter,
    read_reports,
    write_reports,
)
from kronos.trading.adapters.reports import Report
from kronos.trading.broker import Broker
from kronos.trading.control import objection
from kronos.trading.events import (
    FeedDegraded,
    FeedRestored,
    IntentRaised,
    OrderAccepted,
    OrderFilled,
    OrderRejected,
    OrdersAnchored,
    Origin,
    OutboxDiscarded,
    ReportIgnored,
    RiskDecided,
)
from kronos.trading.instruments import instrument
from kronos.trading.orders import Phase
from kronos.trading.outbox import CANCEL, NEW, REPLACE, Command
from kronos.trading.positions import cause_id
from kronos.trading.state import TradingState
from kronos.trading.streams import ASK, BID, Trades
from kronos.trading.tape import Tape
from kronos.trading.terms import MARKET, Terms
from kronos.trading.venue.rules import VenueRules
from kronos.trading.venue.trades import TradeVenue

TRADED = instrument(symbol="X", tick=Decimal(1), price_max=10_000, lot=Decimal(1), fee_rate=Decimal("0.001"))
PRICES = [100, 101, 99, 100, 98, 102, 103, 97, 100, 101] * 3
Script = list[tuple[int, Command]]
Make = Callable[[Script], VenueAdapter]


def command(kind: str, order_id: int, quantity: int = 0, terms: Terms = MARKET) -> Command:
    return Command(
        order_id=order_id, instrument=0, kind=kind, route=0, cause=1, place=1, quantity=quantity, terms=terms
    )


def limit(price: int, **more) -> Terms:
    return Terms(kind="limit", limit=price, **more)


def simulated(_: Script) -> SimulatedVenue:
    time = np.arange(1, len(PRICES) + 1, dtype=np.int64) * 100
    stream = Trades(
        dataset="d", instrument="X", tick=Decimal(1), volume_step=Decimal(1), time=time, available=time, source=time,
        price=np.array(PRICES, dtype=np.int64), quantity=np.full(len(PRICES), 5, dtype=np.int64),
        side=np.array([BID, ASK] * (len(PRICES) // 2), dtype=np.int64),
    )  # fmt: skip
    venue = TradeVenue(stream, TRADED, VenueRules())
    return SimulatedVenue(venue, time, TRADED.contract, order_ns=30, report_ns=40)


def recorded(script: Script) -> RecordedVenue:
    """What the simulated venue said to `script`, written down and read again."""
    heard = [report for _, reports in play(simulated(script), script) for report in reports]
    return RecordedVenue(read_reports(write_reports(heard)))


def play(venue: VenueAdapter, script: Script, *, step: int = 7) -> list[tuple[int, list[Report]]]:
    """Send `script` at its times and poll every `step` ns; return what was told at each time."""
    told, waiting = [], list(script)
    for now in range(0, 3200, step):
        while waiting and waiting[0][0] <= now:
            venue.send(waiting.pop(0)[1], now)
        told.append((now, venue.poll(now)))
    return told


@pytest.fixture(params=[simulated, recorded])
def make(request) -> Make:
    return request.param


SCRIPT: Script = [
    (50, command(NEW, 1, 7)),
    (60, command(NEW, 2, 4, limit(98))),
    (70, command(NEW, 3, 4, limit(90))),
    (80, command(NEW, 4, 3, limit(150, post_only=True))),
    (500, command(REPLACE, 3, 6, limit(91))),
    (700, command(CANCEL, 3)),
    (900, command(CANCEL, 3)),
    (950, command(REPLACE, 1, 9)),
    (1000, command(NEW, 1, 1)),
    (1100, command(NEW, 5, -7)),
]


def names(told, order_id: int) -> list[str]:
    return [
        type(report).__name__ for _, reports in told for report in reports if getattr(report, "order_id", 0) == order_id
    ]


def test_a_report_is_told_once_in_order_and_never_before_it_is_known(make) -> None:
    told = play(make(SCRIPT), SCRIPT)
    for now, reports in told:
        assert all(now - 7 < report.known <= now for report in reports)
        assert all(report.at <= report.known for report in reports)
    reports = [report for _, reports in told for report in reports]
    assert len({report.number for report in reports}) == len(reports) > 10
    assert [report.known for report in reports] == sorted(report.known for report in reports)


def test_orders_are_acknowledged_filled_replaced_cancelled_and_refused_in_reports_alone(make) -> None:
    told = play(make(SCRIPT), SCRIPT)
    assert names(told, 1) == ["Accepted", "Filled", "Filled", "Refused", "Rejected"]
    assert names(told, 2) == ["Accepted", "Filled"]
    assert names(told, 3) == ["Accepted", "Replaced", "Cancelled", "Refused"]
    assert names(told, 4) == ["Rejected"]
    assert names(told, 5) == ["Accepted", "Filled", "Filled"]
    lots = dict.fromkeys((1, 2, 5), 0)
    for _, reports in told:
        for report in reports:
            if type(report).__name__ == "Filled":
                lots[report.order_id] += report.quantity
    assert lots == {1: 7, 2: 4, 5: -7}


def test_the_same_commands_at_the_same_times_are_told_the_same(make) -> None:
    assert play(make(SCRIPT), SCRIPT) == play(make(SCRIPT), SCRIPT)


def test_waiting_for_the_next_report_hears_what_asking_all_the_time_hears(make) -> None:
    venue, heard, waiting, now = make(SCRIPT), [], list(SCRIPT), 0
    while True:
        until = waiting[0][0] if waiting else 3200
        at = venue.next_known(until)
        if at is not None:
            now = max(now, at)
            heard += venue.poll(now)
        elif waiting:
            now, asked = waiting.pop(0)
            heard += venue.poll(now)
            venue.send(asked, now)
        else:
            break
    asked = [report for _, reports in play(make(SCRIPT), SCRIPT, step=1) for report in reports]
    assert heard == asked


class Session:
    """Orders, broker and reception on one tape, with a venue behind them."""

    def __init__(self, venue: VenueAdapter) -> None:
        state = TradingState(accounts=[new_account({"USD": 10**15})], contracts={0: Contract(unit=1, currency="USD")})
        origin = Origin(strategy_id="s", execution_id="e", route_id="r", broker_id="b")
        self.tape, self.state, self.venue = Tape(state, [origin], lambda: b"", row=0), state, venue
        self.broker = Broker(self.tape, lambda sent, _row, _cause, at: venue.send(sent, at))
        self.fills: list[OrderFilled] = []
        self.reception, self.row = Reception(self.tape, self.fills.append), 0

    def ask(self, kind: str, order_id: int, at: int, quantity: int = 1, terms: Terms = MARKET) -> None:
        action = {NEW: "submit", REPLACE: "modify", CANCEL: "cancel"}[kind]
        self.tape.write(IntentRaised, self.row, 0, (), order_id, 0, action, quantity, "", terms)
        decided = self.tape.write(RiskDecided, self.row, 0, (), order_id, True, "ok", {})
        cause = cause_id(self.row, decided.sub)
        self.broker.take(
            Command(
                order_id=order_id, instrument=0, kind=kind, route=0, cause=cause, place=cause, quantity=quantity,
                terms=terms,
            ),
            self.row,
        )  # fmt: skip
        self.broker.pump(self.row, at)

    def hear(self, until: int) -> None:
        self.row += 1
        for report in self.venue.poll(until):
            self.reception.receive(report, self.row)
            self.broker.pump(self.row, report.known)
        self.tape.prove()

    def of(self, kind) -> list:
        return [record for record in self.tape.unsealed if type(record) is kind]


def test_a_session_behind_either_adapter_ends_with_what_was_filled(make) -> None:
    script: Script = [
        (50, command(NEW, 1, 7)),
        (51, command(NEW, 2, 4, limit(98))),
        (52, command(NEW, 3, 4, limit(90))),
    ]
    session = Session(make(script))
    for at, asked in script:
        session.ask(asked.kind, asked.order_id, at, asked.quantity, asked.terms)
    for now in range(100, 3200, 50):
        session.hear(now)
    assert session.state.held(0, 0) == 11
    assert list(session.state.orders) == [3]
    assert session.state.orders[3].phase is Phase.ACCEPTED
    assert session.of(ReportIgnored) == []


LIVE = b"""
{"report":"accepted","number":1,"at":1000,"known":1100,"order_id":1}
{"report":"filled","number":2,"at":1500,"known":1600,"order_id":1,"quantity":4,"price":100,"fee":3}
{"report":"rejected","number":3,"at":1500,"known":1700,"order_id":2,"reason":"insufficient_margin"}
{"report":"filled","number":2,"at":1500,"known":1800,"order_id":1,"quantity":4,"price":100,"fee":3}
{"report":"cancelled","number":4,"at":1900,"known":1900,"order_id":77}
{"report":"disconnected","number":5,"at":2000,"known":2000,"reason":"heartbeat"}
{"report":"filled","number":6,"at":2100,"known":2600,"order_id":3,"quantity":5,"price":101,"fee":3}
{"report":"reconnected","number":7,"at":2600,"known":2600}
{"report":"snapshot","number":8,"at":2700,"known":2750,"version":2,"orders":[[1,9,4],[4,5,0]]}
{"report":"snapshot","number":9,"at":2650,"known":2760,"version":1,"orders":[]}
{"report":"accepted","number":10,"at":2100,"known":2770,"order_id":4}
{"report":"cancelled","number":11,"at":2900,"known":2900,"order_id":1}
"""


def live() -> Session:
    session = Session(RecordedVenue(read_reports(LIVE)))
    for order, lots in enumerate((9, 2, 5, 5, 5), 1):
        session.ask(NEW, order, 900 + order, lots, limit(100))
    return session


def test_a_lost_acknowledgement_stays_submitted_until_a_fill_or_a_snapshot_says_otherwise() -> None:
    session = live()
    session.hear(2599)
    assert [session.state.orders[order].phase for order in (3, 4, 5)] == [Phase.SUBMITTED] * 3
    session.ask(CANCEL, 5, 2599)
    session.hear(2749)
    assert 3 not in session.state.orders  # a fill is as good as an acknowledgement
    assert session.state.orders[4].phase is Phase.SUBMITTED
    assert session.state.orders[5].phase is Phase.SUBMITTED  # and its cancel waits behind it
    session.hear(2759)
    anchor = session.of(OrdersAnchored)[0]
    assert (anchor.version, session.state.anchor) == (2, 2)
    assert session.state.orders[4].phase is Phase.ACCEPTED
    assert [(r.order_id, r.reason) for r in session.of(OrderRejected)][-1] == (5, "not_in_snapshot")
    assert session.of(OrderAccepted)[-1].causes == (cause_id(anchor.row, anchor.sub),)
    assert session.of(OutboxDiscarded)[-1].reason == "order_finished"
    assert session.state.outbox.queued == {}


def test_what_fits_nothing_is_kept_as_ignored_and_what_the_wire_brings_twice_is_told_once() -> None:
    session = live()
    session.hear(5000)
    assert [(r.order_id, r.what, r.reason) for r in session.of(ReportIgnored)] == [
        (77, "cancelled 4", "unknown_order"),
        (0, "snapshot 9", "stale_snapshot"),
        (4, "accepted 10", "order_accepted"),
    ]
    assert session.state.held(0, 0) == 9
    assert [fill.quantity for fill in session.fills] == [4, 5]
    assert list(session.state.orders) == [4]


def test_while_the_line_is_down_no_new_order_passes() -> None:
    session = live()
    session.hear(1999)
    assert objection(session.state.switches, origin=0, instrument=0) is None
    session.hear(2000)
    assert objection(session.state.switches, origin=0, instrument=0) == {"feed": "degraded"}
    session.hear(2600)
    assert objection(session.state.switches, origin=0, instrument=0) is None
    assert [type(r) for r in session.tape.unsealed if type(r) in {FeedDegraded, FeedRestored}] == [
        FeedDegraded,
        FeedRestored,
    ]


def test_a_recorded_feed_gives_the_same_chain_each_time() -> None:
    heads = []
    for _ in range(2):
        session = live()
        for now in (1650, 2000, 2755, 5000):
            session.hear(now)
        heads.append(session.tape.heads(session.row + 1))
    assert heads[0] == heads[1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"report":"eaten","number":1,"at":1,"known":1}', "feed, line 2: Invalid value 'eaten'"),
        (b'{"report":"accepted","number":1,"at":1,"known":1}', "feed, line 2: .*missing required field `order_id`"),
        (b'{"report":"accepted","number":1,"at":9,"known":1,"order_id":1}', "feed, line 2: known 1 lies before at 9"),
        (b'{"report":"filled","number":1,"at":1,"known":1,"order_id":1,"quantity":1.5,"price":1,"fee":0}', "quantity"),
        (b"\xff", "feed, line 2"),
    ],
)
def test_a_line_that_is_no_report_is_refused_with_its_place(line, said) -> None:
    with pytest.raises(DataError, match=said):
        read_reports(b"\n" + line, file="feed")
