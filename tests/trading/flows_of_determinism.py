"""Every flow of the trading runtime in small, run in a process of its own: prints {flow: [core chain, user chain]}."""

from __future__ import annotations

import json
import sys
import time
from decimal import Decimal

import numpy as np

from kronos.trading import (
    AccountConfig,
    Backtest,
    BacktestConfig,
    Bars,
    Latency,
    MemoryRecorder,
    NoParams,
    Session,
    SessionConfig,
    Split,
    Strategy,
    feature,
    verify,
)
from kronos.trading.indicators import Atr, Rsi, Sma
from kronos.trading.streams import ASK, BID, Trades
from kronos.trading.views import bars as bars_of
from kronos.trading.views import book as book_of
from kronos.trading.views import quotes as quotes_of
from kronos.trading.views import trades as trades_of
from tests.trading.test_sessions_of_ticks import Maker, Taker, market

ROWS = 9_000


def walk(*, splits: tuple[Split, ...] = ()) -> Bars:
    rng = np.random.default_rng(11)
    close = np.cumsum(rng.integers(-50, 51, ROWS)).astype(np.int64)
    close += 20_000 - close.min()
    opening = np.roll(close, 1)
    opening[0] = close[0]
    return Bars(
        dataset="walk",
        instrument="WALK",
        tick=Decimal("0.01"),
        volume_step=Decimal(1),
        interval_ns=60 * 10**9,
        open_time=np.arange(ROWS, dtype=np.int64) * 60 * 10**9 + 1_600_000_000 * 10**9,
        open=opening,
        high=np.maximum(opening, close) + 5,
        low=np.minimum(opening, close) - 5,
        close=close,
        volume=rng.integers(1, 50, ROWS),
        splits=splits,
    )


def mean(bars, period):
    sums = np.cumsum(bars.close)
    sums[period:] -= sums[:-period].copy()
    return sums / period


class Cross(Strategy):
    fast = feature(mean, period=20)
    slow = feature(mean, period=100)

    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.above = False
        self.words: set[str] = set()

    def on_bar(self, ctx, bar) -> None:
        above = ctx.features.fast > ctx.features.slow
        if above is not self.above:
            self.above = above
            self.words |= {f"{bar.row % 7} up", f"{bar.row % 5} down"}
            if above:
                ctx.buy(1)
            elif ctx.position_lots:
                ctx.sell(1)


class Everything(Strategy):
    """Sends every kind of order with every lifetime, and remembers floats, sets and dicts."""

    class Params(NoParams, frozen=True):
        every: int = 37

    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.rsi, self.atr, self.mean = Rsi(14), Atr(14), Sma(50)
        self.heard: dict[str, int] = {}
        self.kinds: set[str] = set()

    def on_bar(self, ctx, bar) -> None:
        strength, reach = self.rsi.update(bar.close), self.atr.update(bar.high, bar.low, bar.close)
        self.mean.update(bar.close)
        if strength is None or reach is None or bar.row % self.params.every:
            return
        price, side = ctx.instrument.price, ctx.buy if strength < 50 else ctx.sell
        sign, far = (1, round(2 * reach)) if strength < 50 else (-1, round(2 * reach))
        kind = bar.row // self.params.every % 7
        self.kinds.add(f"kind {kind}")
        if kind == 0:
            side(1)
        elif kind == 1:
            side(2, type="limit", limit=price(bar.close - sign * far), tif="DAY")
        elif kind == 2:
            side(1, type="stop", stop=price(bar.close + sign * far), tif="GTD", until=bar.time + 90 * 60 * 10**9)
        elif kind == 3:
            stop, limit = price(bar.close + sign * far), price(bar.close + 2 * sign * far)
            side(1, type="stop_limit", stop=stop, limit=limit)
        elif kind == 4:
            side(1, type="trailing", trail=price(max(far, 1)))
        elif kind == 5:
            name = "buy" if sign > 0 else "sell"
            ctx.bracket(name, 1, stop=price(bar.close - sign * 3 * far), target=price(bar.close + sign * 3 * far))
        elif ctx.open_orders:
            ctx.cancel(ctx.open_orders[0])

    def on_order(self, ctx, report) -> None:
        name = type(report).__name__
        self.heard[name] = self.heard.get(name, 0) + 1


FREE = {"cash": Decimal(10**9), "long_only": False, "check_cash": False, "fee_rate": Decimal("0.001")}
FLOWS = {
    "market orders and features": (Cross, {"cash": Decimal(10**9)}, ()),
    "every order": (Everything, FREE, ()),
    "shared volume and slippage": (Everything, {**FREE, "volume_share": "0.1", "slippage_bps": "5"}, ()),
    "a split": (Everything, FREE, (Split(row=5_000, numerator=3, denominator=2),)),
}


class Unstable(Cross):
    """Asks in the order of a set of texts: what the gate is there to catch."""

    def on_bar(self, ctx, bar) -> None:
        if not bar.row % 100:
            for word in frozenset(["buy", "sell", "hold", "wait", "note"]):
                ctx.note(word)


class Late(Strategy):
    """Hears trades beside bars."""

    subscribes = (bars_of("WALK"), trades_of("WALK"))

    def on_bar(self, ctx, bar) -> None:
        if bar.row % 83 == 0 and ctx.position_lots > 0:
            ctx.sell(1)

    def on_trade(self, ctx, trade) -> None:
        if trade.row % 97 == 0:
            ctx.buy(1, type="limit", limit=ctx.instrument.price(trade.price - 3), tif="DAY")


def ticks() -> Trades:
    rng = np.random.default_rng(12)
    time_ns = 1_600_000_000 * 10**9 + np.sort(rng.integers(0, ROWS * 60 * 10**9, ROWS // 3))
    return Trades(
        dataset="ticks", instrument="WALK", tick=Decimal("0.01"), volume_step=Decimal(1), time=time_ns,
        available=time_ns, source=np.arange(ROWS // 3), price=20_000 + np.cumsum(rng.integers(-5, 6, ROWS // 3)),
        quantity=rng.integers(1, 9, ROWS // 3), side=rng.choice([BID, ASK], ROWS // 3),
    )  # fmt: skip


def several(*, latency: Latency, streams: tuple) -> list[str]:
    """Play two strategies on one account over `streams`, with what travels."""
    recorder = MemoryRecorder()
    config = SessionConfig(
        accounts=(AccountConfig(id="main", cash={"USD": Decimal(10**9)}),), long_only=False, check_cash=False,
        fee_rate=Decimal("0.001"), latency=latency,
    )  # fmt: skip
    first = Late() if len(streams) > 1 else Cross()
    run = Session(streams, [first, Everything()], config, recorder=recorder, clock=time.monotonic_ns, key=b"k" * 32)
    result = run.run()
    assert result.orders > 50
    assert verify([segment.data for segment in recorder.segments]).hex() == result.core_chain
    return [result.core_chain, result.user_chain]


class Looks(Taker):
    """Takes at looks at the book, with a stop and a target behind it, and keeps the book's words by level."""

    subscribes = (quotes_of("X"), book_of("X"))

    def on_start(self, ctx) -> None:
        super().on_start(ctx)
        self.levels: dict[int, set[str]] = {}

    def on_quote(self, ctx, quote) -> None:
        super().on_quote(ctx, quote)
        if self.looks % 70 == 0:
            price, far = ctx.instrument.price, 3 + self.looks % 4
            ctx.bracket("buy", "0.02", stop=price(quote.bid - far), target=price(quote.ask + far))

    def on_book(self, ctx, update) -> None:
        if update.row % 50 == 0:
            self.levels.setdefault(update.row % 7, set()).add(f"{update.row % 11} deep")


def booked(*, latency: Latency) -> list[str]:
    """Play a maker and a taker on a book whose queues trades and cancels move, the latter by a drawn part."""
    recorder = MemoryRecorder()
    config = SessionConfig(
        long_only=False, check_cash=False, fee_rate=Decimal("0.001"), queue="probable", latency=latency
    )
    run = Session(market(6_000), [Maker(), Looks()], config, recorder=recorder, clock=time.monotonic_ns, key=b"k" * 32)
    result = run.run()
    assert result.orders > 50
    assert verify([segment.data for segment in recorder.segments]).hex() == result.core_chain
    return [result.core_chain, result.user_chain]


TRAVEL = Latency(feed_ns=3_000_000, order_ns=70_000_000_000, report_ns=1_000_000)
SESSIONS = {
    "two strategies": lambda: several(latency=Latency(), streams=(walk(),)),
    "two strategies, latency": lambda: several(latency=TRAVEL, streams=(walk(),)),
    "two strategies, trades and bars, latency": lambda: several(latency=TRAVEL, streams=(walk(), ticks())),
    "a book and its trades": lambda: booked(latency=Latency()),
    "a book and its trades, latency": lambda: booked(latency=Latency(feed_ns=1, order_ns=9_000, report_ns=4_000)),
}

UNSTABLE = {"a set's order": (Unstable, {}, ())}


def play(name: str) -> list[str]:
    if name in SESSIONS:
        return SESSIONS[name]()
    kind, settings, splits = (FLOWS | UNSTABLE)[name]
    decimals = {key: Decimal(value) if isinstance(value, str) else value for key, value in settings.items()}
    recorder = MemoryRecorder()
    run = Backtest(
        walk(splits=splits),
        kind(),
        BacktestConfig(**decimals),
        recorder=recorder,
        clock=time.monotonic_ns,
        key=b"k" * 32,
    )
    result = run.run()
    assert result.records > 50, "a flow that decides nothing shows nothing"
    assert verify([segment.data for segment in recorder.segments]).hex() == result.core_chain
    return [result.core_chain, result.user_chain]


if __name__ == "__main__":
    print(json.dumps({name: play(name) for name in sys.argv[1:] or (*FLOWS, *SESSIONS)}))
