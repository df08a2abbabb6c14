"""Sessions whose routes have limits and whose switches are thrown: bursts, wakes, the kill switch, recovery."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import numpy as np
import pytest

from kronos.errors import InvalidInput
from kronos.trading import (
    Bars,
    Control,
    Latency,
    MemoryRecorder,
    Position,
    Rate,
    RouteConfig,
    Session,
    SessionConfig,
    Strategy,
    verify,
)
from kronos.trading.events import (
    CommandRefused,
    Deferred,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderSubmitted,
    OutboxDiscarded,
    OutboxQueued,
    OutboxSent,
    OutboxWoken,
    RiskDecided,
    Switched,
    TradingSwitched,
)
from kronos.trading.journal import decode_segment

KEY = b"k" * 32
MINUTE_NS = 60_000_000_000
START_NS = 1_600_000_000_000_000_000


def made(name: str, rows: int, *, seed: int = 1) -> Bars:
    close = np.random.default_rng(seed).integers(900, 1100, rows).astype(np.int64)
    return Bars(
        dataset=f"{name}-{seed}", instrument=name, tick=Decimal("0.01"), volume_step=Decimal(1), interval_ns=MINUTE_NS,
        open_time=np.arange(rows, dtype=np.int64) * MINUTE_NS + START_NS, open=close, high=close + 5, low=close - 5,
        close=close, volume=np.full(rows, 100, dtype=np.int64),
    )  # fmt: skip


def play(strategies, *, streams=None, rows=60, until=None, **settings):
    recorder = MemoryRecorder()
    session = Session(streams or [made("A", rows)], strategies, SessionConfig(**settings), recorder=recorder, key=KEY)
    result = session.run(until)
    return session, result, recorder


def records_of(recorder, *kinds):
    everything = [record for segment in recorder.segments for record in decode_segment(segment.data).decode()]
    return [record for record in everything if type(record) in kinds]


class Burst(Strategy):
    """Asks for ten resting orders at row 3, changes its mind about some, and takes one back."""

    def on_bar(self, ctx, bar):
        if bar.row == 3:
            self.ids = [ctx.buy(1, type="limit", limit=Decimal(5) + number) for number in range(10)]
        if bar.row == 4:
            ctx.modify(self.ids[9], limit=Decimal(7))
            ctx.cancel(self.ids[8])
            ctx.cancel(self.ids[0])


LIMITED = (RouteConfig(order_rate=Rate(limit=2, period_ns=5 * MINUTE_NS)),)


def test_a_burst_is_spread_over_time_by_events_in_the_journal_and_none_is_lost() -> None:
    session, _, recorder = play([Burst()], routes=LIMITED)
    sent = [(record.order_id, record.kind, record.at) for record in records_of(recorder, OutboxSent)]
    at = START_NS + 4 * MINUTE_NS
    step = 5 * MINUTE_NS // 2
    assert sent[:2] == [(1, "new", at), (2, "new", at)]
    assert sent[2] == (1, "cancel", at + MINUTE_NS)
    assert sent[3:] == [(order, "new", at + step * n) for n, order in enumerate([3, 4, 5, 6, 7, 8, 10], 1)]
    woken, deferred = records_of(recorder, OutboxWoken), records_of(recorder, Deferred)
    assert [record.at for record in woken] == [record.until for record in deferred]
    assert [(r.order_id, r.reason) for r in records_of(recorder, OrderCancelled)] == [
        (9, "requested"),
        (1, "requested"),
    ]
    assert [(r.order_id, r.reason) for r in records_of(recorder, OutboxDiscarded)] == [
        (10, "updated"),
        (9, "requested"),
    ]
    assert session.core.orders[10].terms.limit == 700
    assert verify([segment.data for segment in recorder.segments])


def test_a_killed_run_goes_on_with_the_same_queue_and_ends_in_the_same_chain() -> None:
    whole, result, _ = play([Burst()], routes=LIMITED)
    for row in (4, 5, 7, 12, 30):
        session, _, _ = play([Burst()], routes=LIMITED, until=Position(row))
        again = Session([made("A", 60)], [Burst()], SessionConfig(routes=LIMITED), key=KEY)
        again.restore(session.checkpoint())
        assert again.core.outbox == session.core.outbox
        assert again.run().core_chain == result.core_chain
    assert whole.core.outbox.queued == {}


def test_stopping_anywhere_changes_nothing_with_several_streams_and_strategies() -> None:
    streams = [made("A", 60), made("B", 60, seed=2)]

    class Trader(Strategy):
        def on_bar(self, ctx, bar):
            if bar.row % 7 == 1:
                ctx.buy(1, instrument=bar.instrument)
            if bar.row % 7 == 4:
                ctx.buy(1, instrument=bar.instrument, type="limit", limit=Decimal("9.5"))

    class Second(Trader):
        pass

    settings = {"streams": streams, "routes": (RouteConfig(order_rate=Rate(limit=1, period_ns=MINUTE_NS)),)}
    _, result, recorder = play([Trader(), Second()], **settings)
    assert len(records_of(recorder, OutboxWoken)) > 20
    session = Session(streams, [Trader(), Second()], SessionConfig(routes=settings["routes"]))
    for row in range(1, 120):
        session.run(Position(row))
    assert session.run().core_chain == result.core_chain
    fills = {record.order_id for record in records_of(recorder, OrderFilled)}
    assert fills <= {record.order_id for record in records_of(recorder, OrderSubmitted)}


class Wavers(Strategy):
    """Asks for an order that fills at once, and wants to change it before the venue can have it."""

    def on_bar(self, ctx, bar):
        if bar.row == 3:
            self.resting = ctx.buy(2, type="limit", limit=Decimal(5))
            self.filled = ctx.buy(2)
        if bar.row == 4:
            ctx.cancel(self.resting)
            ctx.modify(self.filled, 2)


def test_a_command_waits_for_the_answer_to_the_one_before_it_and_goes_when_the_answer_is_there() -> None:
    latency = Latency(order_ns=MINUTE_NS * 3 // 2, report_ns=MINUTE_NS // 3)
    routes = (RouteConfig(order_rate=Rate(limit=100)),)
    session, _, recorder = play([Wavers()], rows=20, routes=routes, latency=latency)
    at = START_NS + 4 * MINUTE_NS
    sent = [(r.order_id, r.kind, r.at - at) for r in records_of(recorder, OutboxSent)]
    assert sent[:2] == [(1, "new", 0), (2, "new", 0)]
    assert (1, "cancel", MINUTE_NS * 3 // 2) in sent  # when the venue had the order, and not before
    assert (2, "replace", MINUTE_NS * 3 // 2) in sent
    assert [(r.order_id, r.kind) for r in records_of(recorder, CommandRefused)] == [(2, "replace")]
    assert session.core.outbox.in_flight == {}
    assert session.core.outbox.queued == {}


class Steady(Strategy):
    """Asks for a resting order at every bar, and cancels the oldest one from row 20 on."""

    def on_bar(self, ctx, bar):
        ctx.buy(1, type="limit", limit=Decimal(5))
        if bar.row >= 20 and ctx.open_orders:
            ctx.cancel(ctx.open_orders[0])


class Other(Steady):
    pass


def test_the_kill_switch_refuses_new_orders_lets_cancels_pass_and_can_be_released() -> None:
    controls = (
        Control(scope="kill", enabled=False, row=20, reason="drill"),
        Control(scope="kill", enabled=True, row=30),
    )
    session, _, recorder = play([Steady()], rows=40, controls=controls)
    denied = records_of(recorder, OrderDenied)
    assert [(record.row, record.reason) for record in denied] == [(row, "trading_disabled") for row in range(20, 30)]
    assert records_of(recorder, RiskDecided)[20].operands == {"kill_switch": "on"}
    assert [record.row for record in records_of(recorder, OrderCancelled)] == list(range(20, 40))
    assert [(r.row, r.enabled, r.reason) for r in records_of(recorder, Switched)] == [
        (20, False, "drill"),
        (30, True, "scheduled"),
    ]
    assert not session.core.switches.killed


def test_the_kill_switch_takes_back_what_waits_and_was_not_sent() -> None:
    rates = (RouteConfig(order_rate=Rate(limit=1, period_ns=100 * MINUTE_NS)),)
    at = START_NS + 10 * MINUTE_NS
    session, _, recorder = play(
        [Steady()], rows=20, routes=rates, controls=(Control(scope="kill", enabled=False, at=at),)
    )
    assert [record.order_id for record in records_of(recorder, OrderCancelled)] == list(range(2, 10))
    assert {record.reason for record in records_of(recorder, OrderCancelled)} == {"kill_off"}
    assert list(session.core.orders) == [1]
    assert session.core.outbox.queued == {}


@pytest.mark.parametrize(
    ("scope", "name", "stopped"),
    [
        ("session", "", {"Steady", "Other"}),
        ("strategy", "Other", {"Other"}),
        ("instrument", "A", {"Steady", "Other"}),
        ("route", "simulated", {"Steady", "Other"}),
    ],
)
def test_a_switch_stops_what_it_names_until_it_is_thrown_again(scope, name, stopped) -> None:
    controls = (
        Control(scope=scope, name=name, enabled=False, row=5),
        Control(scope=scope, name=name, enabled=True, row=9),
    )
    session, _, recorder = play([Steady(), Other()], rows=15, controls=controls)
    denied = records_of(recorder, OrderDenied)
    assert {session.strategy_ids[record.origin] for record in denied} == stopped
    assert {record.row for record in denied} == set(range(5, 9))
    assert len(records_of(recorder, Switched, TradingSwitched)) == 2


def test_a_disabled_route_stops_its_orders_and_no_others() -> None:
    class Both(Strategy):
        def on_bar(self, ctx, bar):
            ctx.buy(1, type="limit", limit=Decimal(5), route="a" if bar.row % 2 else "b")

    routes = (RouteConfig(route_id="a", default=True), RouteConfig(route_id="b"))
    _, _, recorder = play(
        [Both()], rows=12, routes=routes, controls=(Control(scope="route", name="b", enabled=False, row=6),)
    )
    assert [record.row for record in records_of(recorder, OrderDenied)] == [6, 8, 10]


def test_a_run_without_limits_has_no_record_of_an_outbox_and_one_with_ample_limits_the_same_fills() -> None:
    _, plain, recorder = play([Steady()], rows=40)
    assert not records_of(recorder, OutboxQueued, OutboxSent, Deferred, OutboxWoken)
    _, ample, limited = play([Steady()], rows=40, routes=(RouteConfig(order_rate=Rate(limit=10**6)),))
    assert records_of(limited, OutboxSent)
    fields = ("order_id", "quantity", "price", "row")
    fills = [
        [[getattr(r, name) for name in fields] for r in records_of(each, OrderFilled)] for each in (recorder, limited)
    ]
    assert fills[0] == fills[1]
    assert plain.equity == ample.equity


@pytest.mark.parametrize(
    ("control", "said"),
    [
        (Control(scope="kill", enabled=False, row=60), "no row is at or after row 60, where kill is to be switched"),
        (Control(scope="kill", enabled=False, at=2**62), "the session has 60"),
        (Control(scope="strategy", name="Nobody", enabled=False, row=1), "there is no strategy 'Nobody': Burst"),
    ],
)
def test_a_switch_that_can_never_be_thrown_is_refused_when_the_session_is_built(control, said) -> None:
    with pytest.raises(InvalidInput, match=said):
        play([Burst()], controls=(control,))


class Brackets(Strategy):
    """Asks for a bracket at row 8, and at row 10, while its entry is at the venue, for one more stop behind it."""

    def on_bar(self, ctx, bar):
        if bar.row == 8:
            self.ids = ctx.bracket("buy", 10, stop=Decimal(9), target=Decimal("10.04"))
        elif bar.row == 10 and self.ids.entry in ctx.open_orders:
            ctx.sell(10, type="stop", stop=Decimal(8), parent=self.ids.entry, reduce_only=True)


@pytest.mark.parametrize(
    ("way", "begun", "phases"),
    [
        ({"routes": (RouteConfig(order_rate=Rate(limit=1, period_ns=3 * MINUTE_NS)),)}, 9, {2: "queued", 3: "queued"}),
        ({"latency": Latency(order_ns=MINUTE_NS + 1)}, 11, {4: "submitted"}),
    ],
    ids=["waits in the outbox", "travels"],
)
def test_what_hangs_on_an_entry_that_fills_begins_wherever_it_is(way, begun, phases) -> None:
    columns = {name: np.full(30, 1_000 + far) for name, far in (("open", 0), ("high", 5), ("low", -5), ("close", 0))}
    calm = msgspec.structs.replace(made("A", 30), **columns)
    session, _, _ = play([Brackets()], streams=[calm], long_only=False, until=Position(begun + 1), **way)
    orders = session._tape.state.orders
    assert {each: (order.phase, order.held) for each, order in orders.items()} == {
        each: (phase, False) for each, phase in phases.items()
    }
    session.run()
    assert session.result().position == 0
