"""Commands on their way: what waits, what goes, what is in flight, and that records alone say all of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.trading.accounts import Contract, new_account
from kronos.trading.broker import Broker
from kronos.trading.buckets import Rate
from kronos.trading.events import (
    CommandRefused,
    Deferred,
    IntentRaised,
    OrderAccepted,
    OrderCancelled,
    OrderRejected,
    OrderReplaced,
    Origin,
    OutboxDiscarded,
    OutboxQueued,
    OutboxSent,
    OutboxWoken,
    RiskDecided,
)
from kronos.trading.orders import Phase
from kronos.trading.outbox import CANCEL, NEW, RANK, REPLACE, Command, Route, next_wake, open_route
from kronos.trading.outbox_fold import derived
from kronos.trading.positions import cause_id
from kronos.trading.state import TradingState, apply, decode_state, encode_state
from kronos.trading.tape import Tape
from kronos.trading.terms import Terms

MS = 1_000_000


class Desk:
    """A tape with a broker and a venue that answers when it is told to."""

    def __init__(self, **routes: Route) -> None:
        state = TradingState(accounts=[new_account({"USD": 10**15})], contracts={0: Contract(unit=1, currency="USD")})
        state.outbox.routes = dict(enumerate(routes.values()))
        self.opening = decode_state(encode_state(state))
        origin = Origin(strategy_id="s", execution_id="e", route_id="r", broker_id="b")
        self.tape = Tape(state, [origin], lambda: b"", row=0)
        self.wired: list[tuple[int, str]] = []
        self.stage = Broker(self.tape, lambda command, *_: self.wired.append((command.order_id, command.kind)))
        self.state, self.now = state, 0

    def ask(self, kind: str, order_id: int = 0, *, quantity: int = 1, limit: int = 100, parent: int = 0) -> int:
        terms = Terms(kind="limit", limit=limit, parent=parent)
        action = {NEW: "submit", REPLACE: "modify", CANCEL: "cancel"}[kind]
        order_id = order_id or self.state.next_order_id
        raised = self.tape.write(IntentRaised, 0, 0, (), order_id, 0, action, quantity, "", terms)
        decided = self.tape.write(RiskDecided, 0, 0, (cause_id(0, raised.sub),), order_id, True, "ok", {})
        cause = cause_id(0, decided.sub)
        command = Command(
            order_id=order_id,
            instrument=0,
            kind=kind,
            route=0,
            cause=cause,
            place=cause,
            quantity=quantity,
            terms=terms,
        )
        self.stage.take(command, 0)
        return order_id

    def pump(self, after: int = 0) -> list[tuple[int, str]]:
        """Let time pass and send what may go; return what the wire was given."""
        self.now += after
        before = len(self.wired)
        due = next_wake(self.state.outbox)
        if due and due <= self.now:
            self.stage.wake(0, self.now)
        else:
            self.stage.pump(0, self.now)
        return self.wired[before:]

    def says(self, kind, order_id: int, *fields) -> None:
        self.tape.write(kind, 0, 0, (), order_id, *fields)

    def of(self, kind) -> list:
        return [record for record in self.tape.unsealed if type(record) is kind]

    def proven(self) -> None:
        """The queue folded again from the records, and the queue derived at once, equal the live one."""
        again = decode_state(encode_state(self.opening))
        for record in self.tape.unsealed:
            apply(again, record)
        assert again.outbox == self.state.outbox
        waiting, flying = derived(self.opening.outbox, self.tape.unsealed, self.state.orders.__contains__)
        assert (waiting, flying) == (self.state.outbox.queued, self.state.outbox.in_flight)


def test_what_may_go_goes_at_once_and_its_answer_frees_the_way_for_the_next() -> None:
    desk = Desk()
    order = desk.ask(NEW)
    assert desk.state.orders[order].phase is Phase.QUEUED
    assert desk.pump() == [(order, NEW)]
    assert desk.state.orders[order].phase is Phase.SUBMITTED
    desk.ask(CANCEL, order)
    assert desk.pump() == []  # the new one is in flight: a cancel waits too
    desk.says(OrderAccepted, order, 0)
    assert desk.pump() == [(order, CANCEL)]
    desk.proven()


def test_a_missing_acknowledgement_keeps_an_order_submitted_until_a_record_says_otherwise() -> None:
    desk = Desk()
    order = desk.ask(NEW)
    desk.pump()
    desk.ask(CANCEL, order)
    assert desk.pump(after=10**15) == []
    assert desk.state.orders[order].phase is Phase.SUBMITTED
    desk.says(OrderRejected, order, "unknown_to_venue")
    desk.pump()
    assert desk.of(OutboxDiscarded)[-1].reason == "order_finished"
    assert desk.state.outbox.queued == desk.state.outbox.in_flight == {}
    desk.proven()


def test_a_replace_of_a_queued_new_order_becomes_an_updated_new_order() -> None:
    desk = Desk(r=open_route(orders=Rate(limit=1)))
    desk.ask(NEW)
    desk.pump()
    waiting = desk.ask(NEW, quantity=5, limit=90)
    desk.ask(REPLACE, waiting, quantity=7, limit=95)
    order = desk.state.orders[waiting]
    assert (order.quantity, order.terms.limit, order.phase) == (7, 95, Phase.QUEUED)
    assert [(d.kind, d.reason) for d in desk.of(OutboxDiscarded)] == [(NEW, "updated")]
    assert desk.pump(after=1000 * MS) == [(waiting, NEW)]
    desk.proven()


def test_a_cancel_of_a_queued_new_order_removes_it_and_its_children_here() -> None:
    desk = Desk(r=open_route(orders=Rate(limit=1)))
    desk.ask(NEW)
    desk.pump()
    parent = desk.ask(NEW)
    child = desk.ask(NEW, parent=parent)
    desk.ask(CANCEL, parent)
    assert [(c.order_id, c.reason) for c in desk.of(OrderCancelled)] == [(parent, "requested"), (child, "parent")]
    assert desk.pump(after=5000 * MS) == []
    assert list(desk.state.orders) == [1]
    desk.proven()


@pytest.mark.parametrize("stronger", [REPLACE, CANCEL])
def test_a_weaker_command_is_discarded_with_a_record_and_the_latest_of_a_kind_stays(stronger) -> None:
    desk = Desk(r=open_route(orders=Rate(limit=1, period_ns=10**9), cancels=Rate(limit=1, period_ns=10**9)))
    order = desk.ask(NEW)
    desk.pump()
    desk.ask(stronger, order, quantity=2)  # waits: the new one is in flight
    desk.ask(stronger, order, quantity=3)
    assert [d.reason for d in desk.of(OutboxDiscarded)] == ["superseded"]
    if stronger == CANCEL:
        desk.ask(REPLACE, order, quantity=4)
        assert [(d.kind, d.reason) for d in desk.of(OutboxDiscarded)][1:] == [(REPLACE, "weaker")]
    assert desk.state.outbox.queued[order].kind == stronger
    assert stronger == CANCEL or desk.state.outbox.queued[order].quantity == 3
    desk.proven()


def test_a_burst_is_spread_over_wakes_that_stand_in_the_journal_and_none_is_lost() -> None:
    desk = Desk(r=open_route(orders=Rate(limit=10)))
    orders = [desk.ask(NEW) for _ in range(100)]
    sent_at: list[tuple[int, int]] = [(desk.now, order) for order, _ in desk.pump()]
    while desk.state.outbox.queued:
        wake = next_wake(desk.state.outbox)
        sent_at += [(wake, order) for order, _ in desk.pump(after=wake - desk.now)]
    assert [order for _, order in sent_at] == orders
    assert [at for at, _ in sent_at] == [0] * 10 + [100 * MS * n for n in range(1, 91)]
    assert len(desk.of(Deferred)) == len(desk.of(OutboxWoken)) == 90
    desk.proven()


def test_a_refused_replace_leaves_the_order_as_it_stood() -> None:
    desk = Desk()
    order = desk.ask(NEW, quantity=4)
    desk.pump()
    desk.says(OrderAccepted, order, 0)
    desk.ask(REPLACE, order, quantity=9)
    desk.pump()
    desk.says(CommandRefused, order, REPLACE, "too_late")
    assert desk.state.orders[order].quantity == 4
    assert desk.state.outbox.in_flight == {}
    desk.proven()


def test_dropping_ends_queued_new_orders_leaves_cancels_and_touches_nothing_in_flight() -> None:
    desk = Desk(r=open_route(orders=Rate(limit=2), cancels=Rate(limit=1)))
    flying, resting, queued = (desk.ask(NEW) for _ in range(3))
    desk.pump()
    desk.says(OrderAccepted, resting, 0)
    desk.ask(REPLACE, resting, quantity=2)
    desk.ask(CANCEL, flying)
    desk.stage.drop(lambda _: True, 0, cause_id(0, 0), "kill_switch")
    assert [c.order_id for c in desk.of(OrderCancelled)] == [queued]
    assert set(desk.state.orders) == {flying, resting}
    assert {c.kind for c in desk.state.outbox.queued.values()} == {CANCEL}
    assert desk.state.outbox.in_flight == {flying: NEW}
    desk.proven()


DEEDS = st.tuples(st.sampled_from(["new", "replace", "cancel", "answer", "refuse", "time"]), st.integers(0, 40))


@settings(max_examples=80, deadline=None)
@given(st.lists(DEEDS, max_size=60), st.integers(1, 4), st.integers(0, 2))
def test_every_command_is_sent_or_named_as_discarded_and_the_queue_follows_from_the_records(
    deeds, limit, cancels
) -> None:
    rates = open_route(orders=Rate(limit=limit), cancels=Rate(limit=cancels) if cancels else None)
    desk = Desk(r=rates)
    flying: dict[int, str] = {}
    for deed, number in deeds:
        orders = list(desk.state.orders)
        if deed == "new":
            desk.ask(NEW)
        elif deed in {REPLACE, CANCEL} and orders:
            desk.ask(deed, orders[number % len(orders)], quantity=1 + number)
        elif deed == "answer" and flying:
            order = list(flying)[number % len(flying)]
            kind = flying.pop(order)
            more = {NEW: (desk.now,), REPLACE: (1 + number, Terms(kind="limit", limit=1)), CANCEL: ("requested",)}
            desk.says({NEW: OrderAccepted, REPLACE: OrderReplaced, CANCEL: OrderCancelled}[kind], order, *more[kind])
        elif deed == "refuse" and (asked := [each for each, kind in flying.items() if kind != NEW]):
            order = asked[number % len(asked)]
            desk.says(CommandRefused, order, flying.pop(order), "too_late")
        went = desk.pump(after=number * 30 * MS if deed == "time" else 0)
        assert [RANK[kind] for _, kind in went] == sorted(RANK[kind] for _, kind in went)
        for order, kind in went:
            assert order not in flying
            flying[order] = kind
        assert desk.state.outbox.in_flight == flying
        desk.proven()
    accounted = {r.causes[0] for r in desk.of(OutboxSent)} | {r.command for r in desk.of(OutboxDiscarded)}
    waiting = {command.cause for command in desk.state.outbox.queued.values()}
    asked = {r.causes[0] for r in desk.of(OutboxQueued)}
    assert asked <= accounted | waiting
    assert not {r.causes[0] for r in desk.of(OutboxSent)} & {r.command for r in desk.of(OutboxDiscarded)}
