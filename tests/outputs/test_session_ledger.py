"""The ledger of a session: strategies add up, a session of one has the backtest's, quotes have a spread."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from kronos.errors import InvalidInput
from kronos.flows.tables import tables_of
from kronos.trading import Backtest, BacktestConfig, MemoryRecorder, Session, SessionConfig, SmaCross, ledger_of
from kronos.trading import read_ledger as ledger_of_backtest
from kronos.trading.analysis import analyse
from kronos.trading.payments import Payment
from kronos.trading.session_config import AccountConfig, Latency
from kronos.trading.shortfall import PARTS, shortfall
from kronos.trading.stats import statistics
from kronos.trading.strategy import Strategy
from kronos.trading.streams import BID, Quotes, Trades
from kronos.trading.tracing import trace_trade
from kronos.trading.views import trades

GRID = {"instrument": "X", "tick": Decimal("0.1"), "volume_step": Decimal("0.001")}


class Drawn(Strategy):
    """Buys and sells drawn lots of both instruments, some by limit."""

    seed = 1

    def on_bar(self, ctx, bar):
        draw = np.random.default_rng((self.seed, bar.row)).integers(0, 30, 2).tolist()
        if draw[0] < 3:
            (ctx.buy if draw[1] % 2 else ctx.sell)(1 + draw[1], instrument=bar.instrument)
        elif draw[0] == 3:
            ctx.buy(2, instrument=bar.instrument, type="limit", limit=Decimal(bar.close - 20) / 100)


class Other(Drawn):
    seed = 2


class Thirds(Strategy):
    subscribes = (trades("X"),)

    def on_trade(self, ctx, trade):
        if trade.row % 30 == 3:
            (ctx.buy if trade.row % 60 == 3 else ctx.sell)("0.01")


def run(streams, strategies, **config):
    recorder = MemoryRecorder()
    session = Session(streams, strategies, SessionConfig(**{"long_only": False, **config}), recorder=recorder)
    result = session.run()
    return session, result, ledger_of([each.data for each in recorder.segments], session.pricing)


@pytest.fixture(scope="module")
def two(walk):
    first = walk(600, seed=3, splits=())
    second = walk(600, seed=4, splits=())
    pay = Payment(kind="funding", at=int(second.open_time[300]), rate=Decimal("0.0007"), instrument="OTHER")
    import msgspec

    second = msgspec.structs.replace(second, instrument="OTHER", dataset="other")
    return run(
        [first, second], [Drawn(), Other()],
        accounts=(AccountConfig(cash={"USD": Decimal(10**8)}),), fee_rate=Decimal("0.001"), payments=(pay,),
        latency=Latency(order_ns=1_000_000_000, report_ns=5),
    )  # fmt: skip


def test_the_last_equity_of_a_ledger_is_that_of_the_result_and_is_sampled_once_a_time(two):
    session, result, ledger = two
    assert Decimal(int(ledger.equity_units()[-1])) / 10**8 == result.equity
    assert len(ledger.fills()) > 60
    assert len(ledger.rows) == session.streams[0].rows == len(np.unique(ledger.times))
    assert {fill.instrument for fill in ledger.fills()} == set(session.instruments)
    assert {order.phase for order in ledger.orders()} >= {"filled"}
    assert sum(order.phase == "filled" for order in ledger.orders()) == len(ledger.fills())


def test_the_parts_of_the_strategies_sum_to_the_whole_in_every_row(two):
    _, _, ledger = two
    parts = [ledger.of(name) for name in ledger.strategies]
    assert ledger.strategies == ["Drawn", "Other"]
    earned = sum(part.equity_units() - ledger.initial_cash for part in parts)
    assert (earned == ledger.equity_units() - ledger.initial_cash).all()
    for number in range(2):
        assert (sum(part.positions(number) for part in parts) == ledger.positions(number)).all()
    assert sum(len(part.trades()) for part in parts) == len(ledger.trades())
    assert sum((part.trades()[0].pnl for part in parts), Decimal(0)) != 0
    whole, apart = shortfall(ledger), [shortfall(part) for part in parts]
    for name in PARTS:
        assert getattr(whole, name) == sum(getattr(each, name) for each in apart), name
    assert whole.carry != 0
    assert whole.rounding == 0
    assert sum(getattr(whole, name) for name in PARTS) == whole.total == whole.paper - whole.real
    with pytest.raises(InvalidInput, match="strategy 'Nobody': one of Drawn, Other"):
        ledger.of("Nobody")


def test_profits_of_trades_and_what_holding_paid_are_the_profit_of_the_run(two):
    _, result, ledger = two
    carried = sum(change.cash for change in ledger.changes if change.carry)
    earned = sum((trade.pnl for trade in ledger.trades()), Decimal(0)) + Decimal(carried) / 10**8
    assert earned == result.equity - result.initial_cash
    origin = trace_trade(ledger, 1)
    assert next(link.kind for link in origin.entry) == "order_filled"
    assert origin.entry[-1].kind == "market_event"


def test_a_session_of_one_has_the_ledger_of_the_backtest(walk):
    bars = walk(900, seed=8)
    recorder = MemoryRecorder()
    test = Backtest(bars, SmaCross({"fast": 5, "slow": 15}), BacktestConfig(), recorder=recorder)
    test.run()
    one = ledger_of_backtest([each.data for each in recorder.segments], bars, test.instrument)
    _, _, same = run(
        [bars], [SmaCross({"fast": 5, "slow": 15})], long_only=True,
        accounts=(AccountConfig(cash={"USD": Decimal(1_000_000)}),),
    )  # fmt: skip
    assert one.fills()[3] == same.fills()[3]
    assert len(one.trades()) > 10
    assert all(tables_of(one)[name].drop_columns(_of_config(name)) == each.drop_columns(_of_config(name))
               for name, each in tables_of(same).items())  # fmt: skip
    assert analyse(one) == analyse(same)
    assert statistics(same).periods_per_year == 365.25 * 86_400e9 / bars.interval_ns


def _of_config(table: str) -> list[str]:
    return [] if table == "equity" else ["route"]


def test_what_a_taker_paid_beyond_the_middle_of_a_quote_is_spread():
    rows = 900
    time = 10**18 + np.arange(rows) * 1_000_000_000
    middle = 1_000 + np.cumsum(np.random.default_rng(3).integers(-1, 2, rows))
    side = np.where(np.arange(rows) % 2, BID, -BID)
    quoted = Quotes(
        dataset="quotes", **GRID, time=time, available=time, bid=middle - 2, bid_quantity=np.full(rows, 9),
        ask=middle + 2, ask_quantity=np.full(rows, 9), source=np.arange(rows),
    )  # fmt: skip
    traded = Trades(
        dataset="trades", **GRID, time=time + 5, available=time + 5, price=middle + 3, quantity=np.full(rows, 99),
        side=side, source=np.arange(rows),
    )  # fmt: skip
    _, result, ledger = run(
        [traded, quoted], [Thirds()], accounts=(AccountConfig(cash={"USD": Decimal(10**6)}),), lot=Decimal("0.001")
    )
    found = shortfall(ledger)
    bought = [fill for fill in ledger.fills() if fill.quantity > 0]
    assert len(bought) == 15
    # a buy pays the middle + 3 ticks of 0.1: half of the spread of 4 is lost to it; a sale at the middle + 3 to none
    assert found.spread == sum(fill.quantity for fill in bought) * Decimal("0.2")
    assert sum(getattr(found, name) for name in PARTS) == found.total
    assert found.real == result.equity - result.initial_cash
    assert set(np.diff(ledger.times)[:-1].tolist()) == {60_000_000_000}  # no bars: a point a minute
    assert tables_of(ledger)["equity"].num_rows == len(ledger.rows) == 16
