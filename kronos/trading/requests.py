"""What a request says, in the integers of its instrument: which order, route and instrument, how many lots, what terms.

Rule: words that cannot be meant are kept as they were said, for risk to deny with.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kronos.errors import InvalidInput
from kronos.trading.context import Asked, Quantity
from kronos.trading.coordinator import Coordinator
from kronos.trading.orders import Phase
from kronos.trading.routes import Routes
from kronos.trading.seats import Seat
from kronos.trading.tape import Tape
from kronos.trading.terms import Terms, read_terms
from kronos.trading.words import text_of, told

__all__ = ["Reader"]

_ASKED_MAX: Final = 100
"""Characters kept of a request that is no quantity."""


class Reader:
    """Reads the requests of a session's strategies."""

    def __init__(self, coordinator: Coordinator, routes: Routes, tape: Tape) -> None:
        self._coordinator, self._routes, self._tape = coordinator, routes, tape

    def place_of(self, seat: Seat, order_id: int) -> tuple[int, int]:
        """Return the origin and instrument of an order of this strategy; of another's it knows nothing."""
        order = self._tape.state.orders.get(order_id)
        if order is None or self._routes.strategy(order.origin) != seat.place:
            return seat.origin, seat.context.numbers[0]
        return order.origin, order.instrument

    def named(self, seat: Seat, asked: Asked | None) -> tuple[int, int, str, Asked | None]:
        """Return the origin and instrument that a request names, "" or what it names that there is not, and the rest
        of its terms.
        """
        context = seat.context
        if asked is None and len(context.numbers) == 1:
            return seat.origin, context.numbers[0], "", None
        rest: dict[str, Any] = dict(asked or {})
        name, route = rest.pop("instrument", None), rest.pop("route", None)
        number = context.number_of(name) if name is None or isinstance(name, str) else None
        origin = self._routes.origin(seat.place, route) if route is None or isinstance(route, str) else None
        unknown = ""
        if number is None:
            unknown = f"instrument {told(name)}: one of {', '.join(context.instruments)}"[:_ASKED_MAX]
        elif origin is None:
            unknown = f"route {told(route)}: one of {', '.join(self._routes.ids)}"[:_ASKED_MAX]
        return (
            seat.origin if origin is None else origin,
            context.numbers[0] if number is None else number,
            unknown,
            rest or None,  # type: ignore[return-value]  # what is left of the request's own words
        )

    def lots(self, number: int, action: str, wanted: Quantity | str | None) -> tuple[int, str]:
        """Return the signed lots of a request, or 0 and its words when it is no positive number of lots in bounds."""
        traded = self._coordinator.traded[number]
        try:
            lots = traded.lots(wanted)  # type: ignore[arg-type]  # None is refused as any other nonsense
        except InvalidInput:
            return 0, told(wanted, _ASKED_MAX)
        if not 0 < lots <= traded.quantity_max:
            return 0, text_of(wanted, _ASKED_MAX)
        return (lots if action == "buy" else -lots), ""

    def changed(
        self, number: int, order_id: int, wanted: Quantity | str | None, asked: Asked
    ) -> tuple[int, str, Terms | None]:
        """Return the whole quantity and the terms that a modification would leave an order with."""
        order = self._tape.state.orders.get(order_id)
        if order is None or order.phase is Phase.INTENDED:
            return 0, "", None
        quantity, words = order.quantity, ""
        if wanted is not None:
            quantity, words = self.lots(number, "buy" if order.quantity > 0 else "sell", wanted)
            if abs(quantity) <= abs(order.filled):
                quantity, words = 0, words or text_of(wanted, _ASKED_MAX)
        terms, terms_words = self._merged(number, order.terms, asked)
        return quantity, words or terms_words, terms

    def _merged(self, number: int, before: Terms, asked: Asked) -> tuple[Terms, str]:
        fixed = [name for name in ("type", "parent", "group", "instrument", "route") if name in asked]
        if fixed:
            return before, f"{fixed[0]}: cannot be changed; cancel and submit anew"
        traded = self._coordinator.traded[number]
        price = traded.price
        told: Asked = {"type": before.kind, "tif": before.tif, "reduce_only": before.reduce_only}
        for name in ("limit", "stop", "trail"):
            if ticks := getattr(before, name):
                told[name] = price(ticks)
        if before.until:
            told["until"] = before.until
        terms, words = read_terms({**told, **asked}, traded.tick, traded.price_max)
        return msgspec.structs.replace(terms, parent=before.parent, group=before.group), words
