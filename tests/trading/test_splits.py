"""What a split makes of orders that travel, wait, rest or are held back, and what the strategies hear of it."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from kronos.trading import Bars, Latency, Position, Rate, RouteConfig, Session, SessionConfig, Split, Strategy
from kronos.trading.events import OrderAdjusted, OrderCancelled, OrderFilled, OrderTriggered, OutboxDiscarded
from kronos.trading.plain import PlainSession
from kronos.trading.state import encode_state

MINUTE_NS = 60_000_000_000
BEFORE, SPLIT = 5, 6
SLOW = {"routes": (RouteConfig(order_rate=Rate(limit=1, period_ns=3 * MINUTE_NS)),)}
TRAVELS = {"latency": Latency(order_ns=5_000_000, report_ns=5_000_000)}


def bars(numerator: int = 2, denominator: int = 1, rows: int = 20) -> Bars:
    flat = np.full(rows, 10_000, dtype=np.int64)
    return Bars(
        dataset="A", instrument="A", tick=Decimal("0.01"), volume_step=Decimal(1), interval_ns=MINUTE_NS,
        open_time=np.arange(rows, dtype=np.int64) * MINUTE_NS + 10**18, open=flat, high=flat + 500, low=flat - 500,
        close=flat, volume=flat, splits=(Split(row=SPLIT, numerator=numerator, denominator=denominator),),
    )  # fmt: skip


class Acts(Strategy):
    acts: dict

    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.heard = []

    def on_bar(self, ctx, bar) -> None:
        if bar.row in self.acts:
            self.acts[bar.row](ctx)

    def on_split(self, ctx, split) -> None:
        self.heard.append("split")

    def on_order(self, ctx, report) -> None:
        self.heard.append((type(report).__name__, report.order_id, getattr(report, "reason", "")))


def session(acts, *, of=Session, data=None, **given) -> Session:
    strategy = type("Acting", (Acts,), {"acts": acts})()
    return of([data or bars()], [strategy], SessionConfig(long_only=False, check_cash=False, **given))


def played(run) -> tuple[list, list]:
    assert run.run().finished
    assert not run._tape.state.orders
    return run.take(), run.strategies[0].heard


def of(records, kind) -> list:
    return [record for record in records if type(record) is kind]


@pytest.mark.parametrize("entry", [None, {"type": "limit", "limit": 94}, {"reduce_only": True}])
@pytest.mark.parametrize("given", [{}, TRAVELS], ids=["at once", "travels"])
def test_a_bracket_that_meets_a_split_before_its_entry_ends_whole_and_the_strategy_hears_it(entry, given) -> None:
    acts = {
        BEFORE - 2: lambda ctx: ctx.sell(30),
        BEFORE: lambda ctx: ctx.bracket("buy", 10, stop=90, target=110, entry=entry),
    }
    records, heard = played(session(acts, **given))
    assert [(each.order_id, each.reason) for each in of(records, OrderCancelled)] == [(n, "split") for n in (2, 3, 4)]
    assert not of(records, OrderTriggered)
    assert [fill.order_id for fill in of(records, OrderFilled)] == [1]
    told = [each for each in heard if each == "split" or each[0] == "OrderCancelled"]
    assert told == ["split", *(("OrderCancelled", n, "split") for n in (2, 3, 4))]


def test_a_bracket_whose_entry_is_filled_in_part_loses_its_rest_and_what_is_held_back_for_it() -> None:
    acts = {BEFORE - 1: lambda ctx: ctx.bracket("buy", 6_000, stop=90, target=110)}
    records, heard = played(session(acts, volume_share=Decimal("0.5")))
    assert [fill.row for fill in of(records, OrderFilled)] == [BEFORE]
    assert [each.order_id for each in of(records, OrderCancelled)] == [1, 2, 3]
    assert len(heard) == 4


@pytest.mark.parametrize("terms", [{}, {"reduce_only": True}, {"tif": "IOC"}])
def test_an_order_without_a_price_is_changed_by_a_split_also_while_it_travels(terms) -> None:
    acts = {BEFORE - 2: lambda ctx: ctx.sell(10), BEFORE: lambda ctx: ctx.buy(7, **terms)}
    for way, row in (({}, SPLIT), (TRAVELS, SPLIT + 1)):
        records, heard = played(session(acts, **way))
        fill = of(records, OrderFilled)[1]
        assert (fill.row, fill.quantity) == (row, of(records, OrderAdjusted)[0].quantity)
        assert heard == ["split"]


def test_what_still_waits_in_the_outbox_is_taken_back_by_a_split() -> None:
    records, heard = played(session({BEFORE: lambda ctx: (ctx.buy(10), ctx.buy(3))}, **SLOW))
    (gone,) = of(records, OutboxDiscarded)
    assert (gone.order_id, gone.reason) == (2, "split")
    assert [fill.order_id for fill in of(records, OrderFilled)] == [1]
    assert heard == ["split", ("OrderCancelled", 2, "split")]


ORDER = st.tuples(
    st.integers(BEFORE - 3, SPLIT + 1),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 9),
    st.sampled_from([
        {}, {"reduce_only": True}, {"tif": "IOC"}, {"type": "limit", "limit": 97}, {"type": "stop", "stop": 103},
        {"type": "stop_limit", "stop": 102, "limit": 104}, {"type": "trailing", "trail": 2}, None,
    ]),
)  # fmt: skip


def asking(orders):
    def ask(row):
        def act(ctx) -> None:
            for at, side, quantity, terms in orders:
                if at == row and terms is None:
                    ctx.bracket(side, quantity, stop=96 if side == "buy" else 104, target=104 if side == "buy" else 96)
                elif at == row:
                    getattr(ctx, side)(quantity, **terms)

        return act

    return {at: ask(at) for at, *_ in orders}


@settings(max_examples=20, deadline=None)
@drawn(
    orders=st.lists(ORDER, min_size=1, max_size=5),
    ratio=st.sampled_from([(2, 1), (3, 2), (1, 3), (1, 10**9)]),
    given=st.sampled_from([{}, TRAVELS, {"latency": Latency(order_ns=MINUTE_NS)}, SLOW, {"volume_share": "0.0003"}]),
)
def test_no_order_is_left_with_a_price_of_before_a_split_in_any_way_that_orders_go(orders, ratio, given) -> None:
    acts, data = asking(orders), bars(*ratio)
    run = session(acts, data=data, **given)
    run.run(Position(SPLIT))
    run._before(SPLIT)
    left = run._tape.state.orders
    asked = {each for each, order in left.items() if order.row < SPLIT}
    assert all(left[each].terms.kind == "market" or left[each].triggered for each in asked)
    assert not [order for order in left.values() if order.held and order.terms.parent not in left]
    whole = session(acts, data=data, **given)
    whole.run()
    if "routes" not in given:
        plain = session(acts, of=PlainSession, data=data, **given)
        plain.run()
        assert encode_state(plain._tape.state) == encode_state(whole._tape.state)
        assert plain.take() == whole.take()
