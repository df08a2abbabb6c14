"""What may be traded when, how much of it, and what a book looks like to a strategy."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from kronos.errors import InvalidInput
from kronos.trading import Position, Session, SessionConfig, Strategy
from kronos.trading.events import InstrumentDelisted, InstrumentListed, OrderCancelled, OrderFilled, RiskDecided
from kronos.trading.reference import InstrumentConfig
from kronos.trading.streams import ASK, BID, DELTA, SNAPSHOT, Depth
from kronos.trading.views import bars, book
from tests.trading.test_session import KEY, MINUTE_NS, START_NS, made, of, play


def listed(name: str, start: int | None, stop: int | None) -> InstrumentConfig:
    times = {"listed_ns": start, "delisted_ns": stop}
    given = {key: START_NS + minute * MINUTE_NS for key, minute in times.items() if minute is not None}
    return InstrumentConfig(id=name, venue="here", tick=Decimal("0.01"), **given)


def test_an_instrument_is_traded_while_it_is_listed_and_what_rests_in_it_ends_with_it() -> None:
    class Follows(Strategy):
        def on_start(self, ctx) -> None:
            self.seen = []

        def on_bar(self, ctx, bar) -> None:
            if bar.instrument == "B":
                self.seen.append(ctx.universe)
                if bar.row in {1, 4, 9}:
                    ctx.buy(1, instrument="B", type="limit", limit="0.01")

    config = SessionConfig(instruments=(listed("B", 3, 8),))
    _, records, session, _ = play([made("A", 12), made("B", 12, seed=2)], [Follows()], config)
    assert session.strategies[0].seen == [("A",)] * 2 + [("A", "B")] * 5 + [("A",)] * 5
    verdicts = [(verdict.allowed, verdict.reason, verdict.operands) for verdict in of(records, RiskDecided)]
    denied = (False, "trading_disabled", {"listed": "false"})
    assert verdicts == [denied, (True, "ok", {}), denied]
    assert [record.at for record in of(records, InstrumentListed)] == [START_NS + 3 * MINUTE_NS]
    (gone,) = of(records, InstrumentDelisted)
    (cancelled,) = of(records, OrderCancelled)
    assert cancelled.reason == "delisted"
    assert cancelled.causes == (gone.row << 20 | gone.sub,)
    assert session.core.unlisted == [1]


def test_a_target_weight_becomes_the_order_that_reaches_it() -> None:
    asked = []

    class Balanced(Strategy):
        def on_bar(self, ctx, bar) -> None:
            if ctx.row == 3:
                asked.append(ctx.target("A", "0.5"))
                asked.append(ctx.target("A", "0.5"))
            if ctx.row == 9:
                asked.append(ctx.target("A", 0))
                with pytest.raises(InvalidInput, match="instrument 'C': one of A"):
                    ctx.target("C", 1)

    walk = made("A", 12)
    _, records, session, _ = play([walk], [Balanced()])
    fills = of(records, OrderFilled)
    lots = fills[0].quantity
    value = session.instruments["A"].value(int(walk.close[3]), 1)
    assert lots == 10**14 // 2 // value
    assert asked[0] == 1
    # What a handler asked for is not open before it has returned: the second request is a second order.
    assert session.positions() == {"A": 0}
    assert sum(fill.quantity for fill in fills) == 0


def depth(rows: int = 60) -> Depth:
    """A snapshot of four levels, then updates of two rows each that move the best bid up and down."""
    snapshot = [(BID, 99, 5), (BID, 98, 7), (ASK, 101, 4), (ASK, 102, 6)]
    levels = [(SNAPSHOT, *level, 1) for level in snapshot]
    for update in range((rows - 4) // 2):
        gone, come = ((99, 98), (98, 99))[update % 2]
        levels += [(DELTA, BID, gone, 0, 2 + update), (DELTA, BID, come, 10 + update, 2 + update)]
    kind, side, price, quantity, source = np.array(levels, dtype=np.int64).T.copy()
    times = START_NS + source * 1_000_000_000
    return Depth(
        dataset="book", instrument="B", tick=Decimal("0.01"), volume_step=Decimal(1), time=times,
        available=times.copy(), kind=kind, side=side, price=price, quantity=quantity, source=source,
    )  # fmt: skip


class Reads(Strategy):
    subscribes = (bars("A"), book("B"))

    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.tops = []

    def on_book(self, ctx, update) -> None:
        view = ctx.book(update.instrument)
        self.tops.append((update.row, view.bid, view.ask))
        if update.row == 9:
            ctx.timer(update.time + 500_000_000)

    def on_timer(self, ctx, timer) -> None:
        self.tops.append(("timer", ctx.book("B").bid, len(ctx.view("depth", "B"))))


def test_a_book_is_shown_after_whole_updates_wherever_the_run_was_restored() -> None:
    def fresh() -> Session:
        return Session([made("A", 3), depth()], [Reads()], SessionConfig(), key=KEY)

    session = fresh()
    whole = session.run()
    tops = session.strategies[0].tops
    assert tops[:3] == [(3, (99, 5), (101, 4)), (5, (98, 10), (101, 4)), (7, (99, 11), (101, 4))]
    assert ("timer", (98, 12), 10) in tops
    assert len(tops) == 1 + 28 + 1
    for row in range(1, 60, 7):
        before = fresh()
        before.run(Position(row))
        again = fresh()
        again.restore(before.checkpoint())
        assert again.run() == whole
        assert again.strategies[0].tops == tops
