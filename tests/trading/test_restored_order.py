"""What a state keeps by number is met in the same order by a run that is restored: keys of its bytes stand as text."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from kronos.trading import Bars, Control, Position, Rate, RouteConfig, Session, SessionConfig, Strategy
from kronos.trading.reference import InstrumentConfig
from kronos.trading.session_config import AccountConfig

KEY = b"k" * 32
MINUTE_NS = 60_000_000_000


def made(name: str, closes: list[int]) -> Bars:
    close = np.array(closes, dtype=np.int64)
    return Bars(
        dataset=name, instrument=name, tick=Decimal("0.5"), volume_step=Decimal(1), interval_ns=MINUTE_NS,
        open_time=np.arange(len(closes)) * MINUTE_NS, open=close.copy(), high=close.copy(), low=close.copy(),
        close=close, volume=np.full(len(closes), 100),
    )  # fmt: skip


def played(session: Session, until: int | None = None) -> tuple[list, str]:
    result = session.run(None if until is None else Position(until))
    return session.take(), result.core_chain


def halved(make, row: int) -> tuple[list, str, Session]:
    """Run to `row`, restore a checkpoint of it and run to the end."""
    first, second = make(), make()
    head, _ = played(first, row)
    second.restore(first.checkpoint())
    tail, chain = played(second)
    return head + tail, chain, second


class Burst(Strategy):
    def on_bar(self, ctx, bar):
        if bar.row == 2:
            for number in range(12):
                ctx.buy(1, type="limit", limit=Decimal(5) + number)


def test_a_queue_of_more_than_nine_is_taken_back_in_its_own_order_after_a_restore() -> None:
    config = SessionConfig(
        routes=(RouteConfig(order_rate=Rate(limit=1, period_ns=100 * MINUTE_NS)),),
        controls=(Control(scope="kill", enabled=False, row=8),),
    )

    def make() -> Session:
        return Session([made("A", [100] * 12)], [Burst()], config, key=KEY)

    whole, chain = played(make())
    assert len([record for record in whole if type(record).__name__ == "OutboxDiscarded"]) == 11
    assert halved(make, 5)[:2] == (whole, chain)


class Later(Strategy):
    """Buys the second instrument first."""

    def on_bar(self, ctx, bar):
        if bar.time == 2 * MINUTE_NS and bar.instrument == "B":
            ctx.buy(6, instrument="B")
        if bar.time == 4 * MINUTE_NS and bar.instrument == "B":
            ctx.buy(6, instrument="A")


def test_a_call_closes_positions_by_the_number_of_their_instrument_after_a_restore_too() -> None:
    falls = [100] * 8 + [82] * 4
    kind = {
        "venue": "sim", "tick": Decimal("0.5"), "kind": "linear", "lot": Decimal(1), "currency": "USD",
        "leverage": Decimal(10), "maintenance_margin": Decimal("0.05"),
    }  # fmt: skip
    config = SessionConfig(
        accounts=(AccountConfig(cash={"USD": Decimal(100)}),),
        instruments=tuple(InstrumentConfig(id=name, **kind) for name in "AB"),
        long_only=False,
    )

    def make() -> Session:
        return Session([made("A", falls), made("B", falls)], [Later()], config, key=KEY)

    whole, chain = played(make())
    called = next(at for at, record in enumerate(whole) if type(record).__name__ == "MarginCalled")
    closing = [record.instrument for record in whole[called:] if type(record).__name__ == "IntentRaised"]
    assert closing == [0, 1]
    half = make()
    half.run(Position(14))
    account = half.core.accounts[0]
    assert [number for number, each in account.holdings.items() if each.quantity] == [0, 1]
    assert halved(make, 14)[:2] == (whole, chain)
