"""What risk remembers of accounts that hold several instruments on several streams, beside a count by hand."""

from __future__ import annotations

import random
from decimal import Decimal

import numpy as np
import pytest

from kronos.trading import Bars, MemoryRecorder, Position, Session, SessionConfig, Strategy
from kronos.trading.buckets import Rate
from kronos.trading.events import OrderFilled, RiskDecided
from kronos.trading.journal import decode_segment
from kronos.trading.risk import RiskLimits
from kronos.trading.session_config import AccountConfig, ExecutionConfig, RouteConfig

KEY = b"k" * 32
MINUTE_NS = 60_000_000_000
CASH = 10**6


def made(name: str, rows: int, *, seed: int, minutes: int) -> Bars:
    close = 1_000 + np.random.default_rng(seed).integers(-400, 400, rows).astype(np.int64)
    return Bars(
        dataset=f"{name}-{seed}", instrument=name, tick=Decimal(1), volume_step=Decimal(1),
        interval_ns=minutes * MINUTE_NS, open_time=np.arange(rows, dtype=np.int64) * minutes * MINUTE_NS,
        open=close.copy(), high=close.copy(), low=close.copy(), close=close, volume=np.full(rows, 9, dtype=np.int64),
    )  # fmt: skip


class Random(Strategy):
    """Trades either instrument by either route at random, and asks at every last row."""

    seed = 1

    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.random = random.Random(self.seed).getstate()

    def on_bar(self, ctx, bar) -> None:
        draw = random.Random()
        draw.setstate(self.random)
        if draw.random() < 0.3 or bar.row >= 58:
            side = draw.choice([ctx.buy, ctx.sell])
            side(draw.randrange(1, 20), instrument=draw.choice(["A", "B"]), route=draw.choice(["r0", "r1"]))
        self.random = draw.getstate()


def session(seed: int, **risk) -> tuple[Session, MemoryRecorder]:
    config = SessionConfig(
        accounts=tuple(AccountConfig(id=f"a{n}", cash={"USD": Decimal(CASH)}) for n in range(2)),
        executions=tuple(ExecutionConfig(execution_id=f"e{n}", account=f"a{n}") for n in range(2)),
        routes=tuple(RouteConfig(route_id=f"r{n}", execution_id=f"e{n}", default=not n) for n in range(2)),
        risk=RiskLimits(**risk), long_only=False, lot=Decimal(1), fee_rate=Decimal("0.001"),
    )  # fmt: skip
    streams = [made("A", 60, seed=seed, minutes=1), made("B", 30, seed=seed + 99, minutes=2)]
    recorder = MemoryRecorder()
    strategy = type("Random", (Random,), {"seed": seed})()
    return Session(streams, [strategy], config, recorder=recorder, key=KEY), recorder


def peaks_by_hand(run: Session, records: list) -> list[int]:
    """Return the highest equity of each account at any row, in whole fractions of its fills and closes."""
    peaks = []
    for account in range(2):
        cash, held, price, peak = Decimal(CASH), [0, 0], [0, 0], Decimal(CASH)
        fills = [r for r in records if isinstance(r, OrderFilled) and run.routes.owners[r.origin] == account]
        for row in range(run.timeline.rows - 1):  # the last row is B's: nobody asks after it, so nothing looks
            for fill in (each for each in fills if each.row == row):
                cash -= fill.price * fill.quantity + Decimal(fill.fee) / 10**8
                held[fill.instrument] += fill.quantity
            for place, stream in enumerate(run.streams):
                index = run.timeline.index(place, row + 1)
                price[place] = int(stream.close[index - 1]) if index else 0
            peak = max(peak, cash + sum(lots * at for lots, at in zip(held, price, strict=True)))
        peaks.append(int(peak * 10**8))
    return peaks


@pytest.mark.parametrize("seed", range(6))
def test_the_highest_equity_of_every_account_is_that_of_every_row(seed) -> None:
    run, recorder = session(seed, drawdown_max=Decimal(1))
    run.run()
    records = [record for segment in recorder.segments for record in decode_segment(segment.data).decode()]
    marks = run.core.marks
    last = {account: each.rows for account, each in marks.items()}
    by_hand = peaks_by_hand(run, records)
    for account, peak in enumerate(by_hand):
        assert marks[account].peaks["USD"] == peak, (account, last)
    assert len({*by_hand, CASH * 10**8}) > 1, "somebody made money"


@pytest.mark.parametrize("stop", [7, 40, 80])
def test_a_session_restored_remembers_the_same(stop) -> None:
    risk = {
        "drawdown_max": Decimal("0.02"), "rolling_loss_max": Decimal(2_000), "rolling_window_ns": 9 * MINUTE_NS,
        "order_rate": Rate(limit=1, period_ns=9 * MINUTE_NS),
    }  # fmt: skip
    whole, recorder = session(3, **risk)
    expected = whole.run()
    records = [record for segment in recorder.segments for record in decode_segment(segment.data).decode()]
    reasons = {r.reason for r in records if isinstance(r, RiskDecided)}
    assert {"ok", "drawdown_exceeded", "order_rate_exceeded"} <= reasons
    first, _ = session(3, **risk)
    first.run(Position(stop))
    second, _ = session(3, **risk)
    second.restore(first.checkpoint())
    assert second.run().core_chain == expected.core_chain
