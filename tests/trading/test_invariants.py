"""A state that must never be halts the run, and shows itself."""

from __future__ import annotations

import pytest

from kronos.errors import InvariantBreach
from kronos.trading import Backtest, BacktestConfig, Strategy
from kronos.trading.accounts import Contract, new_account
from kronos.trading.events import (
    IntentRaised,
    OrderAccepted,
    OrderFilled,
    OrderSubmitted,
    Origin,
    OutboxQueued,
    OutboxSent,
    RiskDecided,
    SplitApplied,
)
from kronos.trading.outbox import CANCEL, NEW, open_route
from kronos.trading.positions import BLOCK_ROWS
from kronos.trading.state import TradingState
from kronos.trading.tape import Tape
from kronos.trading.terms import MARKET


def traded(*, decided: bool = True, queued: bool = False) -> Tape:
    """A tape on which an order was given and filled in two parts, and another one given."""
    state = TradingState(accounts=[new_account({"USD": 10**12})], contracts={0: Contract(unit=1, currency="USD")})
    state.outbox.routes = {0: open_route()}
    tape = Tape(state, [Origin(strategy_id="s", execution_id="e", route_id="r", broker_id="b")], lambda: b"", row=0)
    for order in (1, 2):
        tape.write(IntentRaised, 0, 0, (), order, 0, "submit", 10)
        if decided:
            tape.write(RiskDecided, 0, 0, (), order, True, "ok", {})
        if queued:
            tape.write(OutboxQueued, 0, 0, (9,), order, 0, NEW, 0, 10, MARKET)
            tape.write(OutboxSent, 0, 0, (), order, NEW, 0, 5)
        tape.write(OrderSubmitted, 0, 0, (), order)
    tape.write(OrderAccepted, 0, 0, (), 1, 5)
    for lots in (4, 3):
        tape.write(OrderFilled, 1, 0, (), 1, 0, lots, 100, 7, "next_open")
    return tape


def money(state: TradingState) -> None:
    state.accounts[0].cash["USD"] += 1


def position(state: TradingState) -> None:
    state.accounts[0].holdings[0].quantity += 1


def filled(state: TradingState) -> None:
    state.orders[1].filled += 1


def outbox(state: TradingState) -> None:
    state.outbox.in_flight[2] = CANCEL


def lost(state: TradingState) -> None:
    state.outbox.in_flight.clear()


@pytest.mark.parametrize("queued", [False, True])
def test_a_state_that_follows_from_its_records_is_proven_again_and_again(queued) -> None:
    tape = traded(queued=queued)
    tape.prove()
    tape.write(SplitApplied, 2, 0, (), 0, 3, 2, 50)
    tape.prove()
    tape.write(OrderFilled, 3, 0, (), 1, 0, 3, 100, 7, "next_open")
    tape.prove()


@pytest.mark.parametrize(
    ("violate", "said"),
    [
        (money, r"account 0 is out by 1 \(1e-8 USD\)"),
        (position, "account 0 holds 8 lots of instrument 0, fills say 7"),
        (filled, "order 1 has filled 8 lots, fills say 7"),
        (outbox, "commands are in flight: {2: 'cancel'}, the records say {2: 'new'}"),
        (lost, "commands are in flight: {}, the records say {2: 'new'}"),
    ],
)
def test_a_violation_halts_with_the_state_that_broke_it(violate, said) -> None:
    tape = traded(queued=True)
    violate(tape.state)
    with pytest.raises(InvariantBreach, match=said) as raised:
        tape.prove()
    assert raised.value.facts["row"] == 1
    assert raised.value.facts["state"]["orders"]["1"]["quantity"] == 10


def test_an_order_without_a_decision_halts() -> None:
    with pytest.raises(InvariantBreach, match=r"order 1 at \(0, 2\) has no decision that allows it"):
        traded(decided=False).prove()


class Thief(Strategy):
    """Reaches past its context into the account, once."""

    def on_bar(self, ctx, bar):
        if bar.row == 10:
            ctx._tape.state.accounts[0].cash["USD"] += 500


@pytest.mark.parametrize("rows", [20, BLOCK_ROWS + 20])
def test_a_run_with_a_violation_halts_at_the_end_of_its_block_and_keeps_its_history(walk, rows) -> None:
    run = Backtest(walk(rows), Thief(), BacktestConfig())
    with pytest.raises(InvariantBreach, match="account 0 is out by 500") as raised:
        run.run()
    assert run.row <= BLOCK_ROWS
    assert raised.value.facts["state"]["accounts"][0]["cash"]["USD"] == 10**14 + 500
