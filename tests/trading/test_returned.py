"""What a handler gives back instead of asking, and strategies that could never act: said, not ignored."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from kronos.errors import InvalidInput
from kronos.trading import Backtest, BacktestConfig, Bars, Session, SessionConfig, Strategy
from kronos.trading.events import OrderSubmitted, StrategyStopped
from kronos.trading.plain import PlainBacktest, PlainSession
from kronos.trading.streams import Trades

TOLD = "what a handler returns nobody reads: ask inside it, with ctx.buy"
ROWS = 20
MINUTE_NS = 60_000_000_000


def made(name: str) -> Bars:
    flat = np.full(ROWS, 10_000, dtype=np.int64)
    return Bars(
        dataset=name, instrument=name, tick=Decimal("0.01"), volume_step=Decimal(1), interval_ns=MINUTE_NS,
        open_time=np.arange(ROWS, dtype=np.int64) * MINUTE_NS, open=flat, high=flat, low=flat, close=flat, volume=flat,
    )  # fmt: skip


def ticks() -> Trades:
    flat, time = np.full(ROWS, 10_000, dtype=np.int64), np.arange(1, ROWS + 1, dtype=np.int64) * 1_000
    return Trades(
        dataset="T", instrument="A", tick=Decimal("0.01"), volume_step=Decimal(1), time=time, available=time,
        source=time, price=flat, quantity=flat, side=np.ones(ROWS, dtype=np.int64),
    )  # fmt: skip


def played(session: Session) -> list:
    assert session.run().finished
    return session.take()


def of(records, kind) -> list:
    return [record for record in records if type(record) is kind]


class Lists(Strategy):
    def on_bar(self, ctx, bar):
        return [("buy", 1)] if bar.row == 5 else None


class Calm(Strategy):
    def on_bar(self, ctx, bar) -> None:
        if bar.row == 7 and bar.instrument == "A":
            ctx.buy(1, instrument="A")


@pytest.mark.parametrize("session", [Session, PlainSession])
@pytest.mark.parametrize("names", ["A", "AB"])
def test_a_strategy_that_returns_orders_is_stopped_on_record_and_the_others_go_on(session, names) -> None:
    config = SessionConfig(long_only=False)
    records = played(session([made(name) for name in names], [Lists(), Calm()], config))
    (stopped,) = of(records, StrategyStopped)
    assert (stopped.origin, stopped.handler, stopped.error) == (0, "on_bar", "InvalidInput")
    assert stopped.message.startswith(f"Lists.on_bar returned list, and {TOLD}")
    assert stopped.line == Lists.on_bar.__code__.co_firstlineno
    assert [each.origin for each in of(records, OrderSubmitted)] == [1]


@pytest.mark.parametrize("kind", [Backtest, PlainBacktest])
def test_a_backtest_of_a_strategy_that_returns_orders_ends_with_what_to_do(kind) -> None:
    with pytest.raises(InvalidInput, match=f"Lists.on_bar returned list, and {TOLD}") as told:
        kind(made("A"), Lists(), BacktestConfig()).run()
    assert (told.value.facts["field"], told.value.facts["value"]) == ("on_bar", "list")


@pytest.mark.parametrize("name", ["on_start", "on_trade", "on_fill", "on_order", "on_timer", "on_stop"])
def test_what_any_handler_returns_is_refused_by_its_name(name) -> None:
    def asks(self, ctx, trade) -> None:
        if trade.row == 2:
            ctx.buy(1)
            ctx.cancel(99)
            ctx.buy(1, type="limit", limit=1, tif="IOC")
            ctx.timer(trade.time + 1)

    def gives(self, ctx, *event):
        return {"side": "buy"}

    kind = type("Gives", (Strategy,), {"on_trade": asks, name: gives})
    records = played(Session([ticks()], [kind()], SessionConfig()))
    (stopped,) = of(records, StrategyStopped)
    assert stopped.message.startswith(f"Gives.{name} returned dict, and ")


def test_the_ids_of_what_was_asked_for_may_be_returned_and_no_other_number() -> None:
    class Returns(Strategy):
        def on_bar(self, ctx, bar):
            match bar.row:
                case 1:
                    return ctx.buy(2)
                case 2:
                    return ctx.bracket("buy", 1, stop=99, target=100)
                case 3:
                    return [ctx.buy(1), ctx.buy(1)]
                case 4:
                    return ctx.target("A", "0.1")
                case 6:
                    return 1
                case _:
                    return None

    records = played(Session([made("A")], [Returns()], SessionConfig(long_only=False)))
    (stopped,) = of(records, StrategyStopped)
    assert (stopped.row, stopped.message.partition(",")[0]) == (6, "Returns.on_bar returned int")
    assert len(of(records, OrderSubmitted)) == 7


def test_a_strategy_that_could_never_act_is_refused_when_the_session_is_made() -> None:
    with pytest.raises(
        InvalidInput, match="Strategy has no handler, so it would never act: write one of on_start, on_"
    ):
        Backtest(made("A"), Strategy(), BacktestConfig())

    class Misspelt(Strategy):
        def on_bars(self, ctx, bars) -> None:
            ctx.buy(1)

    with pytest.raises(InvalidInput, match=r"Misspelt has no handler, .*: nobody calls on_bars; write one of"):
        Session([made("A")], [Calm(), Misspelt()], SessionConfig())
