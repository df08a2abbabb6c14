"""Late rows: they come when they are known, or are left out, and either way they are counted."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from kronos.errors import InvalidInput
from kronos.trading import Position, Session, SessionConfig, Strategy
from kronos.trading.streams import Trades
from kronos.trading.views import trades

SECOND_NS = 1_000_000_000
START_NS = 1_600_000_000 * SECOND_NS
HAPPENED = (0, 2, 1, 3, 2, 4)
"""Seconds at which six trades happened, in the order in which they became known: the third and the fifth are late."""


class Hears(Strategy):
    subscribes = (trades("A"),)

    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.heard: list[int] = []

    def on_trade(self, ctx, trade) -> None:
        self.heard.append(trade.price)


def stream() -> Trades:
    count = len(HAPPENED)
    return Trades(
        dataset="late",
        instrument="A",
        tick=Decimal("0.01"),
        volume_step=Decimal(1),
        time=np.array(HAPPENED, dtype=np.int64) * SECOND_NS + START_NS,
        available=np.arange(count, dtype=np.int64) * SECOND_NS + START_NS + 3 * SECOND_NS,
        source=np.arange(count, dtype=np.int64),
        price=np.arange(100, 100 + count, dtype=np.int64),
        quantity=np.ones(count, dtype=np.int64),
        side=np.ones(count, dtype=np.int64),
    )


def test_late_rows_come_when_they_are_known_and_are_counted() -> None:
    strategy = Hears()
    result = Session([stream()], [strategy], SessionConfig()).run()
    assert strategy.heard == [100, 101, 102, 103, 104, 105]
    assert (result.rows, result.late, result.dropped) == (6, {"trades of A": 2}, {})


def test_late_rows_are_left_out_on_request_and_counted() -> None:
    strategy = Hears()
    result = Session([stream()], [strategy], SessionConfig(late="drop")).run()
    assert strategy.heard == [100, 101, 103, 105]
    assert (result.rows, result.late, result.dropped) == (4, {}, {"trades of A": 2})


def test_a_restored_run_without_its_late_rows_ends_where_the_whole_one_does() -> None:
    config, key = SessionConfig(late="drop"), b"k" * 32
    whole = Session([stream()], [Hears()], config, key=key)
    whole.run(Position(2))
    half = whole.twin()
    half.restore(whole.checkpoint())
    assert half.run() == whole.run()
    assert half.dropped == {"trades of A": 2}


def test_another_word_for_late_rows_is_refused() -> None:
    with pytest.raises(InvalidInput, match="late: 'sort' is none of count, drop"):
        SessionConfig(late="sort")
