"""Which bars may touch an order, and where a trailing stop stands, written once more to be read.

Rule 1: every bar may touch every order, and every order's time may be over.
Rule 2: a trailing stop is measured from the best of: the last close when it was given, every extreme of the bars since,
        and the prices that the path went through while it was watched.
"""

from __future__ import annotations

from collections.abc import Iterable

from kronos.trading.orders import Order
from kronos.trading.venue.wakes import Wakes

__all__ = ["Always"]


class Always(Wakes):
    """No wakes."""

    def rearm(self, orders: Iterable[Order]) -> None:
        """Forget the path inside a bar: what came of it is found again from the bars."""
        self.is_eager, self.expiry = True, 0
        self._watched: dict[int, list[int]] = {}

    def level(self, order: Order, row: int, *, price: int | None = None) -> int | None:
        """Return the price (ticks) at which `order` is touched, None for one that takes any."""
        terms = order.terms
        if terms.kind == "trailing" and not order.triggered:
            path = self._watched.setdefault(order.id, [])
            path += [] if price is None else [price]
            seen = self._seen(order, row) + path
            return min(seen) + terms.trail if order.quantity > 0 else max(seen) - terms.trail
        if terms.kind == "limit" or (terms.kind == "stop_limit" and order.triggered):
            return terms.limit
        return terms.stop if terms.kind in {"stop", "stop_limit"} and not order.triggered else None

    def follow(self, price: int) -> None:
        """Let the path go on to `price`."""
        for path in self._watched.values():
            path.append(price)

    def _seen(self, order: Order, row: int) -> list[int]:
        """Return the prices before bar `row` that a trailing stop has seen: lows for a buy, else highs."""
        bars, column = self._bars, self._bars.low if order.quantity > 0 else self._bars.high
        seen: list[int] = []
        for at in range(row - 1, -1, -1):
            if bars.open_time[at] + bars.interval_ns <= order.since:
                return [int(bars.close[at]), *seen]
            seen.append(int(column[at]))
        return [int(bars.open[row]), *seen[:-1]]
