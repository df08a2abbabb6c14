"""A venue with a tape and nothing else, for tests of matching."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from kronos.trading.accounts import new_account
from kronos.trading.events import IntentRaised, OrderFilled, OrderSubmitted
from kronos.trading.instruments import instrument
from kronos.trading.positions import cause_id
from kronos.trading.state import TradingState
from kronos.trading.tape import Tape
from kronos.trading.terms import Terms

TRADED = instrument(
    symbol="X", tick=Decimal(1), price_max=10_000, lot=Decimal(1), fee_rate=Decimal("0.001"),
    maker_fee_rate=Decimal("0.0002"),
)  # fmt: skip


class Floor:
    """A venue with a tape and nothing else: orders are brought at a time, rows are met one by one or when touched."""

    def __init__(self, make, times, *, jumps: bool) -> None:
        state = TradingState(accounts=[new_account({"USD": 10**15})], contracts={0: TRADED.contract})
        self.tape, self.times, self.jumps = Tape(state, [], lambda: b"", row=0), times, jumps
        self.venue = make()
        self.fills: list[OrderFilled] = []
        self.venue.attach(self.tape, self.fills.append)
        self.index = 0

    def until(self, index: int) -> None:
        while self.index < index:
            at = self.venue.next_touch(self.index, index) if self.jumps else self.index
            if at < index:
                self.venue.meet(at, at, cause_id(at, 0))
            self.index = at + 1 if at < index else index

    def give(self, quantity: int, at: int, **terms) -> int:
        """Submit an order at time `at`, after the rows that happened until then."""
        self.until(int(np.searchsorted(self.times, at, side="right")))
        tape, row = self.tape, max(self.index - 1, 0)
        order_id = tape.state.next_order_id
        tape.write(IntentRaised, row, 0, (), order_id, 0, "submit", quantity, "", Terms(**terms))
        tape.write(OrderSubmitted, row, 0, (), order_id)
        self.venue.accept(tape.state.orders[order_id], row, 0, 0, at)
        self.venue.rearm()
        return order_id

    @property
    def filled(self) -> list[tuple[int, int, int, str]]:
        return [(fill.order_id, fill.quantity, fill.price, fill.assumption) for fill in self.fills]
