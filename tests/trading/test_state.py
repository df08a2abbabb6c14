"""The state follows from the records, all of it is chained, and no money appears or vanishes."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.errors import TransitionError
from kronos.kernel.hashing import GENESIS
from kronos.trading.accounts import Account, Contract, Holding, Lot, new_account
from kronos.trading.buckets import Bucket, Rate
from kronos.trading.control import Switches
from kronos.trading.events import (
    CommandTravels,
    InstrumentDelisted,
    IntentRaised,
    OrderAccepted,
    OrderAdjusted,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    ReportTravels,
    RiskMarked,
    SplitApplied,
    StrategyStopped,
    TimerSet,
)
from kronos.trading.journal import core_link
from kronos.trading.marks import RiskMarks, new_marks
from kronos.trading.orders import ALLOWED, TERMINAL, Order, Phase, advance
from kronos.trading.outbox import CANCEL, REPLACE, Command, Outbox, Route, open_route
from kronos.trading.state import TradingState, apply, conserved, decode_state, encode_state
from kronos.trading.terms import Terms

UNIT = 100
CASH = 10**15


def fresh(method: str = "average") -> TradingState:
    return TradingState(
        accounts=[new_account({"USD": CASH}, method=method)], contracts={0: Contract(unit=UNIT, currency="USD")}
    )


def trade(state: TradingState, quantity: int, price: int, fee: int) -> None:
    row, order = state.row + 1, state.next_order_id
    apply(state, IntentRaised(row, 1, 0, state.records, (), order, 0, "submit", quantity))
    apply(state, OrderSubmitted(row, 2, 0, state.records, (), order))
    apply(state, OrderAccepted(row, 3, 0, state.records, (), order))
    apply(state, OrderFilled(row + 1, 1, 0, state.records, (), order, 0, quantity, price, fee, "next_open"))


def test_an_order_through_zero_closes_at_cost_and_opens_at_its_own_price() -> None:
    state = fresh()
    trade(state, 5, 100, 0)
    trade(state, -8, 110, 0)
    assert state.accounts[0].holdings[0] == Holding(quantity=-3, cost=-3 * 110 * UNIT, realised=5 * 10 * UNIT)
    trade(state, 1, 90, 0)
    assert state.accounts[0].holdings[0] == Holding(quantity=-2, cost=-2 * 110 * UNIT, realised=(5 * 10 + 20) * UNIT)


fills = st.tuples(st.integers(-(10**6), 10**6).filter(bool), st.integers(1, 10**7), st.integers(0, 10**9))


@given(st.lists(fills, max_size=30))
def test_money_is_conserved_at_every_fill_long_short_partial_and_through_zero(trades) -> None:
    state = fresh()
    for quantity, price, fee in trades:
        trade(state, quantity, price, fee)
        assert conserved(state)
        holding = state.accounts[0].holdings[0]
        assert (holding.quantity == 0) == (holding.cost == 0)
        assert holding.quantity * holding.cost >= 0
    assert state.accounts[0].cash["USD"] == CASH - sum(q * p * UNIT + f for q, p, f in trades)


@given(st.lists(fills, min_size=1, max_size=8), st.sampled_from([(2, 1), (3, 1), (3, 2), (1, 10)]), st.integers(0, 99))
def test_money_is_conserved_through_splits(trades, ratio, cash) -> None:
    state = fresh()
    for quantity, price, fee in trades:
        trade(state, quantity, price, fee)
    apply(state, SplitApplied(state.row + 1, 1, 0, state.records, (), 0, *ratio, cash))
    assert conserved(state)


def full_state() -> TradingState:
    state = fresh("fifo")
    trade(state, 5, 100, 7)
    apply(
        state,
        IntentRaised(
            state.row + 1,
            1,
            0,
            state.records,
            (),
            state.next_order_id,
            0,
            "submit",
            3,
            "",
            Terms(kind="limit", limit=90),
        ),
    )
    terms = Terms(kind="limit", limit=80)
    waiting = Command(order_id=7, instrument=0, kind=REPLACE, route=0, cause=5, place=4, quantity=2, terms=terms)
    limits = open_route(orders=Rate(limit=5), cancels=Rate(limit=3))
    state.switches = Switches(strategies=[1], routes=[2], instruments=[3], feeds={4: 5})
    state.taken = {0: ((1, 100, 2, 3),)}
    state.outbox = Outbox(queued={7: waiting}, in_flight={8: CANCEL}, routes={0: limits})
    state.marks[0] = new_marks(
        {"USD": CASH}, rows=3, window_ns=9, orders=Rate(limit=2, period_ns=7), cancels=Rate(limit=2)
    )
    apply(state, RiskMarked(state.row, state.sub + 1, 0, state.records, (), 0, 11, 4, "USD", CASH + 5, -7, "order"))
    fill = OrderFilled(1, 1, 0, 0, (4,), 9, 0, 2, 100, 3, "next_open")
    for kind, *fields in (
        (TimerSet, 30, "noon"),
        (CommandTravels, 9, "modify", 20, 4, terms, "why"),
        (ReportTravels, 25, fill),
        (StrategyStopped, "on_bar", "ValueError", "no", 3),
        (InstrumentDelisted, 1, 30),
    ):
        apply(state, kind(state.row, state.sub + 1, 0, state.records, (), *fields))
    return state


def leaves(value, path=()):
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from leaves(getattr(value, name), (*path, name))
    elif isinstance(value, list):
        yield path, value
        for place, item in enumerate(value):
            yield from leaves(item, (*path, place))
    elif isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path, value


def put(value, path, new) -> None:
    for part in path[:-1]:
        value = value[part] if isinstance(value, dict | list) else getattr(value, part)
    if isinstance(value, dict | list):
        value[path[-1]] = new
    else:
        msgspec.structs.force_setattr(value, path[-1], new)


def changed(old):
    if isinstance(old, bool):
        return not old
    if isinstance(old, Phase):
        return Phase.SUBMITTED if old is not Phase.SUBMITTED else Phase.ACCEPTED
    if isinstance(old, int):
        return old + 1
    if isinstance(old, dict | list | tuple):
        return type(old)()
    if isinstance(old, str):
        return old + "x"
    if old is None:
        return 1
    raise AssertionError(f"how to change {old!r}?")


def test_changing_any_one_field_of_the_core_state_changes_the_chain() -> None:
    original = core_link(GENESIS, b"", encode_state(full_state()))
    seen = 0
    for path, old in list(leaves(full_state())):
        state = full_state()
        put(state, path, changed(old))
        assert core_link(GENESIS, b"", encode_state(state)) != original, path
        seen += 1
    kinds = (TradingState, Account, Contract, Holding, Lot, Order, Terms, Outbox, Command, Route, Bucket, Bucket)
    kinds += (Switches, RiskMarks)
    fields = sum(len(kind.__struct_fields__) for kind in kinds)
    assert seen >= fields


def test_a_new_holding_or_order_changes_the_chain() -> None:
    state = full_state()
    before = encode_state(state)
    state.accounts[0].holdings[1] = Holding()
    assert encode_state(state) != before


@given(st.lists(fills, max_size=5))
def test_canonical_bytes_round_trip_even_beyond_sixty_four_bits(trades) -> None:
    state = fresh()
    state.accounts[0] = new_account({"USD": 10**30})
    for item in trades:
        trade(state, *item)
    assert decode_state(encode_state(state)) == state
    assert encode_state(decode_state(encode_state(state))) == encode_state(state)


RECORDS = {
    OrderDenied: (Phase.DENIED,),
    OrderSubmitted: (Phase.SUBMITTED,),
    OrderAccepted: (Phase.ACCEPTED,),
    OrderRejected: (Phase.REJECTED,),
    OrderFilled: (Phase.PARTIALLY_FILLED, Phase.FILLED),
    OrderCancelled: (Phase.CANCELLED,),
}


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("kind", list(RECORDS))
def test_every_transition_that_the_law_does_not_name_is_refused(phase, kind) -> None:
    more = {"reason": "x"} if "reason" in kind.__struct_fields__ else {}
    if kind is OrderFilled:
        more = {"instrument": 0, "quantity": 1, "price": 1, "fee": 0, "assumption": "next_open"}
    record = kind(row=1, sub=1, origin=0, snapshot=0, causes=(), order_id=4, **more)
    for target in Phase:
        order = Order(id=4, origin=0, instrument=0, quantity=1, row=0, phase=phase)
        if target in ALLOWED[phase].get(kind, frozenset()):
            assert target in RECORDS[kind]
            advance(order, record, target)
            assert order.phase is target
        else:
            with pytest.raises(TransitionError, match=f"order 4 is {phase}"):
                advance(order, record, target)
            assert order.phase is phase


def test_finished_orders_have_no_way_out() -> None:
    assert {Phase.DENIED, Phase.REJECTED, Phase.FILLED, Phase.CANCELLED, Phase.EXPIRED} == TERMINAL


def test_a_second_fill_of_a_filled_order_is_refused_and_named() -> None:
    state = fresh()
    trade(state, 5, 100, 0)
    with pytest.raises(TransitionError, match="order 1 is finished or unknown"):
        apply(state, OrderFilled(state.row + 1, 1, 0, 0, (), 1, 0, 5, 100, 0, "next_open"))


def test_an_overfill_is_refused() -> None:
    state = full_state()
    order = state.next_order_id - 1
    apply(state, OrderSubmitted(state.row, state.sub + 1, 0, 0, (), order))
    apply(state, OrderAccepted(state.row, state.sub + 1, 0, 0, (), order))
    with pytest.raises(TransitionError, match="does not fit"):
        apply(state, OrderFilled(state.row + 1, 1, 0, 0, (), order, 0, 4, 100, 0, "next_open"))
    with pytest.raises(TransitionError, match="does not fit"):
        apply(state, OrderFilled(state.row + 1, 1, 0, 0, (), order, 0, -3, 100, 0, "next_open"))


def test_a_partial_fill_then_the_rest_then_nothing_more() -> None:
    state = full_state()
    order = state.next_order_id - 1
    for kind in (OrderSubmitted, OrderAccepted):
        apply(state, kind(state.row, state.sub + 1, 0, 0, (), order))
    apply(state, OrderFilled(state.row + 1, 1, 0, 0, (), order, 0, 1, 100, 0, "next_open"))
    assert state.orders[order].phase is Phase.PARTIALLY_FILLED
    apply(state, OrderAdjusted(state.row, state.sub + 1, 0, 0, (), order, 4))
    apply(state, OrderFilled(state.row, state.sub + 1, 0, 0, (), order, 0, 4, 100, 0, "next_open"))
    assert order not in state.orders
    assert conserved(state)


@settings(max_examples=20)
@given(st.integers(-2, 5), st.integers(0, 5))
def test_records_out_of_order_are_refused(row, sub) -> None:
    state = full_state()
    good = (row == state.row and sub == state.sub + 1) or (row > state.row and sub == 1)
    record = OrderSubmitted(row, sub, 0, 0, (), state.next_order_id - 1)
    if good:
        apply(state, record)
    else:
        with pytest.raises(TransitionError, match="does not follow"):
            apply(state, record)


def test_decimals_meet_integers_exactly_at_the_edge() -> None:
    from kronos.errors import InvalidInput
    from kronos.trading.money import from_money, round_half_up, to_money

    assert to_money("10005691.78239") == 1000569178239000
    assert from_money(1000569178239000) == Decimal("10005691.78239")
    assert from_money(10**40) == Decimal(10**32)
    assert to_money(0.1) == 10_000_000
    with pytest.raises(InvalidInput, match=r"cash: .* is not a multiple"):
        to_money("0.000000001", field="cash")
    with pytest.raises(InvalidInput, match="cash: nan is not a finite number"):
        to_money(float("nan"), field="cash")
    import decimal

    import numpy as np

    from kronos.trading.money import times, to_decimal

    assert [to_decimal(v, field="q") for v in (np.int64(3), np.float64(0.1))] == [Decimal(3), Decimal("0.1")]
    with decimal.localcontext(prec=3):
        assert times(Decimal("0.0001"), 123456789) == Decimal("12345.6789")
        assert from_money(123456789012) == Decimal("1234.56789012")
    assert [round_half_up(n, 2) for n in (-3, -1, 1, 3, 4)] == [-2, -1, 1, 2, 2]


def test_a_state_reads_back_with_its_orders_in_the_order_in_which_they_were_raised():
    orders = {number: Order(id=number, origin=0, instrument=0, quantity=1, row=0) for number in (9, 10, 52, 140)}
    state = TradingState(accounts=[], contracts={}, orders=orders)
    assert list(decode_state(encode_state(state)).orders) == [9, 10, 52, 140]
