"""What takers pay and who may not trade with whom, on bars, written once more to be read.

Rule 1: each tick of price is tried in turn, from the best one on, until it is bad enough.
Rule 2: two orders meet when there is a price at which both would trade.
"""

from __future__ import annotations

from kronos.trading.bars import Bars
from kronos.trading.instruments import Instrument
from kronos.trading.orders import Order, Phase
from kronos.trading.plain.wakes import Always
from kronos.trading.venue.bars import BarVenue
from kronos.trading.venue.rules import VenueRules

__all__ = ["PlainBarVenue"]


class PlainBarVenue(BarVenue):
    """A `BarVenue` with its own words for wakes, trailing stops, slippage and self-trade prevention."""

    def __init__(self, bars: Bars, traded: Instrument, rules: VenueRules, *, instrument: int = 0) -> None:
        """Serve the orders of `instrument` (its number in the session) on its bars."""
        super().__init__(bars, traded, rules, instrument=instrument)
        self.wakes = Always(bars)

    def _slipped(self, order: Order, price: int) -> int:
        """Return the first price that is as much worse as the rules say; a sale is for one tick at least."""
        rules, paid = self._rules, price
        while abs(paid - price) < price * rules.slippage:
            paid += 1 if order.quantity > 0 else -1
        paid += rules.slippage_ticks if order.quantity > 0 else -rules.slippage_ticks
        return max(paid, 1) if not order.terms.limit else self._protected(order, paid)

    def _protected(self, order: Order, paid: int) -> int:
        return min(paid, order.terms.limit) if order.quantity > 0 else max(paid, order.terms.limit)

    def _meets_own(self, order: Order) -> bool:
        """Return whether there is a price at which this limit order and another of its account would both trade."""
        for other in self._tape.state.orders.values():
            buy, sell = (order, other) if order.quantity > 0 else (other, order)
            if not (buy.quantity > 0 > sell.quantity and buy.terms.limit >= sell.terms.limit):
                continue
            both_rest = all(each.terms.kind == "limit" and not each.held for each in (buy, sell))
            owners = [self._tape.state.owners[each.origin] for each in (buy, sell)]
            known = other.phase is Phase.ACCEPTED or other.phase is Phase.PARTIALLY_FILLED
            if both_rest and known and owners[0] == owners[1] and other.instrument == order.instrument:
                return True
        return False
