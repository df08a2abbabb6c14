"""Trades a second through Python: `on_trade` on every trade of the market, recording on.

    python -m benchmarks.ticks_python [--trades 2000000] [--rounds 5] [--json]

A round is one whole `Session` on one stream of trades: times checked, bounds proven, every trade handed to the handler
as a value, orders judged and matched, both chains, checkpoints, the journal's segments kept in memory.  The strategy
follows the flow of aggressors: a running sum on every trade, an order when it leaves a band.  `value` is the rate.
Beside it, in the same rounds, `bare`: a Python loop over the same columns with the same rule, no orders, no journal.
"""

from __future__ import annotations

import argparse
import statistics
import time
from decimal import Decimal
from typing import Any

import numpy as np

from benchmarks.harness import Report, main, say
from kronos.trading import MemoryRecorder, Strategy
from kronos.trading.session import Session
from kronos.trading.session_config import SessionConfig
from kronos.trading.streams import Trades
from kronos.trading.views import trades

TRADES = 2_000_000
ROUNDS = 5
BAND = 18_000


class Flow(Strategy):
    """Buys when buyers have pressed by more than `BAND`, sells when sellers have, and counts anew."""

    subscribes = (trades("WALK"),)

    def __init__(self, params=None):
        super().__init__(params)
        self.flow = 0

    def on_trade(self, ctx, trade):
        flow = self.flow + trade.side * trade.quantity
        if flow > BAND:
            flow = 0
            ctx.buy("0.01")
        elif flow < -BAND:
            flow = 0
            ctx.sell("0.01")
        self.flow = flow


def walk(count: int) -> Trades:
    """A random walk of trades, 30 ms apart in the mean."""
    rng = np.random.default_rng(1)
    happened = 1_600_000_000_000_000_000 + np.cumsum(rng.integers(1, 60_000_000, count))
    return Trades(
        dataset=f"walk-{count}",
        instrument="WALK",
        tick=Decimal("0.01"),
        volume_step=Decimal("0.001"),
        time=happened,
        available=happened,
        price=1_000_000 + np.cumsum(rng.integers(-3, 4, count)),
        quantity=rng.integers(1, 1_000, count),
        side=rng.choice(np.array([-1, 1]), count),
        source=np.arange(count),
    )


def measure(arguments: argparse.Namespace) -> Report:
    """Warm the compiled functions, then run both sides in every round."""
    began = time.perf_counter()
    ours(walk(200_001))
    compiled = time.perf_counter() - began
    market = walk(arguments.trades)
    rounds: dict[str, list[float]] = {"kronos": [], "cpu": [], "bare": []}
    figures: dict[str, Any] = {}
    for number in range(arguments.rounds):
        rate, by_cpu, figures = ours(market)
        rounds["kronos"].append(rate)
        rounds["cpu"].append(by_cpu)
        rounds["bare"].append(bare(market))
        say(f"round {number + 1}: " + ", ".join(f"{name} {each[-1]:,.0f}" for name, each in rounds.items()))
    medians = {name: statistics.median(each) for name, each in rounds.items()}
    value, by_cpu = medians.pop("kronos"), medians.pop("cpu")
    figures |= {
        "trades": arguments.trades,
        "by the processor's own time, trades/s": round(by_cpu),
        "over bare": round(value / medians["bare"], 3),
        "first small run, compiling with it (excluded), s": round(compiled, 2),
    }
    return Report("ticks_python", value, "trades/s", medians, rounds["kronos"], figures)


def ours(market: Trades) -> tuple[float, float, dict[str, Any]]:
    recorder = MemoryRecorder()
    began, busy = time.perf_counter(), time.process_time()
    session = Session(
        [market], [Flow()], SessionConfig(long_only=False), recorder=recorder, clock=time.monotonic_ns,
        key=b"benchmark" * 4,
    )  # fmt: skip
    result = session.run()
    spent, seconds = time.process_time() - busy, time.perf_counter() - began
    assert result.finished, "every trade was dispatched"
    assert result.orders, "and orders were made"
    assert recorder.segments[-1].last_row == market.rows - 1, "and the journal holds them"
    shown = {"orders": result.orders, "records": result.records, "checkpoints": result.checkpoints}
    return market.rows / seconds, market.rows / spent, {**shown, "core_chain": result.core_chain[:16]}


def bare(market: Trades) -> float:
    began = time.perf_counter()
    flow, crosses = 0, []
    columns = (market.time, market.price, market.quantity, market.side)
    for row, (_time, _price, quantity, side) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
        flow += side * quantity
        if flow > BAND or flow < -BAND:
            flow = 0
            crosses.append(row)
    assert crosses
    return market.rows / (time.perf_counter() - began)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=TRADES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    main(measure, parser)
