"""A strategy's pen: what it may ask for during a handler.

Rule 1: asking only notes the wish; risk and the venue answer after the handler has returned, in the order of asking.
Rule 2: what is no request at all raises where it is made; what cannot be done is a recorded denial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple, Required, TypeAlias, TypedDict, Unpack, cast

from kronos.errors import InvalidInput
from kronos.trading.coordinator import Coordinator
from kronos.trading.instruments import Instrument
from kronos.trading.margin import equity
from kronos.trading.money import to_decimal
from kronos.trading.tape import Tape
from kronos.trading.words import told

__all__ = ["WISHES_MAX", "Asked", "Asking", "Bracket", "Leg", "Pen", "Quantity", "Wish"]

Quantity: TypeAlias = Decimal | int | str | float
"""Units of the instrument (1 share, 0.5 BTC); a float is read as its shortest text."""


class Asked(TypedDict, total=False):
    """What an order may say beside its quantity (`terms.NAMES`); prices are in units of the currency.

    `type` is market (default), limit, stop, stop_limit or trailing, with `limit`, `stop`, `trail` as it needs; `tif` is
    GTC (default), IOC, FOK, GTD (with `until`, ns UTC) or DAY; `parent` and `group` are ids of orders.  A strategy that
    sees several instruments names one; `route` is the default one unless named.
    """

    type: str
    limit: Quantity
    stop: Quantity
    trail: Quantity
    tif: str
    until: int
    post_only: bool
    reduce_only: bool
    parent: int
    group: int
    instrument: str
    route: str


class Leg(Asked):
    """One of the orders of `oco`: `side` is buy or sell."""

    side: Required[str]
    quantity: Required[Quantity]


Wish: TypeAlias = tuple[str, int, Quantity | str | None, Asked | None]
"""(buy | sell | modify | cancel | note | timer, order id or time, quantity or text, terms), as it was asked for."""

WISHES_MAX: Final = 10_000
"""Requests that one call of a handler may make: more is a flood."""

_ID_MAX: Final = 2**62
_ENTRY: Final = '{"type": "limit", "limit": 92}'


class Pen:
    """How many orders were asked for in this step, by all strategies together: it makes their ids.

    It `writes` while the session runs: what is asked for before or after that nobody would answer.
    """

    __slots__ = ("asked", "writes")

    def __init__(self) -> None:
        self.asked, self.writes = 0, False


class Bracket(NamedTuple):
    """The ids of an entry and of the two orders that begin when it is filled."""

    entry: int
    stop: int
    target: int


def _checked(order_id: int) -> int:
    if type(order_id) is not int or not 0 < order_id < _ID_MAX:
        raise InvalidInput(f"order id {order_id!r} is not one that buy() or sell() returned", field="order_id")
    return order_id


def _check_legs(legs: Sequence[Leg]) -> None:
    if len(legs) < 2:
        raise InvalidInput(f"oco: {len(legs)} orders cannot cancel one another: give two or more", field="orders")
    for leg in legs:
        if leg.get("side") not in {"buy", "sell"} or "quantity" not in leg:
            raise InvalidInput(f"oco: {leg}: give side (buy or sell) and quantity", field="side")
        for name in ("group", "parent"):
            if name in leg:
                raise InvalidInput(f"oco: {name} is not for its orders: they are a group of their own", field=name)
    for name in ("instrument", "route"):
        named = {leg.get(name) for leg in legs}
        if len(named) > 1:
            told = ", ".join(sorted(map(str, named)))
            raise InvalidInput(f"oco: one {name} for all its orders, not {told}", field=name, value=told)


def _terms_of(leg: Leg, group: int) -> Asked:
    terms = {name: value for name, value in leg.items() if name not in {"side", "quantity"}}
    return cast("Asked", {**terms, "group": group})


class Asking:
    """The side of a context that asks; `Context` is what it is asked of."""

    __slots__ = ()

    _coordinator: Coordinator
    _origins: tuple[int, ...]
    _pen: Pen
    _tape: Tape
    wishes: list[Wish]

    if TYPE_CHECKING:  # what the seeing side says

        @property
        def row(self) -> int: ...
        @property
        def time(self) -> int: ...
        @property
        def instruments(self) -> dict[str, Instrument]: ...
        def number_of(self, instrument: str | None) -> int | None: ...
        def _held(self, number: int) -> int: ...

    def buy(self, quantity: Quantity, **terms: Unpack[Asked]) -> int:
        """Ask to buy `quantity`, at the market unless `terms` say otherwise; return the order's id; risk may deny."""
        return self._submit("buy", quantity, terms or None)

    def sell(self, quantity: Quantity, **terms: Unpack[Asked]) -> int:
        """Ask to sell `quantity`, at the market unless `terms` say otherwise; return the order's id."""
        return self._submit("sell", quantity, terms or None)

    def bracket(
        self, side: str, quantity: Quantity, *, stop: Quantity, target: Quantity, entry: Asked | None = None
    ) -> Bracket:
        """Ask for an entry, and for a stop and a target that begin when it is filled and cancel one another."""
        if entry is not None and not isinstance(entry, Mapping):
            raise InvalidInput(f"bracket: entry {told(entry)}: give its terms, such as {_ENTRY}", field="entry")
        if side not in {"buy", "sell"}:
            raise InvalidInput(f"side {side!r} is neither buy nor sell", field="side")
        first = self._submit(side, quantity, entry)
        other, group = "sell" if side == "buy" else "buy", first + 1
        names = Asked()
        if entry and "instrument" in entry:
            names["instrument"] = entry["instrument"]
        if entry and "route" in entry:
            names["route"] = entry["route"]
        child = Asked(parent=first, group=group, reduce_only=True, **names)
        self._submit(other, quantity, Asked(type="stop", stop=stop, **child))
        self._submit(other, quantity, Asked(type="limit", limit=target, **child))
        return Bracket(first, first + 1, first + 2)

    def oco(self, *orders: Leg) -> tuple[int, ...]:
        """Ask for orders that cancel one another: what one of them fills is taken off the others; return their ids.

        `ctx.oco({"side": "sell", "quantity": 1, "type": "limit", "limit": 110}, {"side": "sell", "quantity": 1, "type":
        "stop", "stop": 95})`.  Raises `InvalidInput` for fewer than two, for a side that there is not, for a `group` or
        `parent`, and for orders of different instruments or routes.
        """
        _check_legs(orders)
        group = self._tape.state.next_order_id + self._pen.asked
        return tuple(self._submit(leg["side"], leg["quantity"], _terms_of(leg, group)) for leg in orders)

    def target(self, instrument: str, weight: Quantity, *, route: str | None = None) -> int | None:
        """Ask for the order that brings a position to `weight` of the account's equity (0.5 is half, -1 a short of all
        of it) at the last price, toward zero in lots; return its id, None where nothing is to be done.

        Open orders of the strategy in the instrument count as filled.  Raises `InvalidInput` for an instrument that is
        not seen, a weight that is no number, and before there is a price.
        """
        number = self.number_of(instrument)
        if number is None:
            raise InvalidInput(f"instrument {instrument!r}: one of {', '.join(self.instruments)}", field="instrument")
        traded, price = self._coordinator.traded[number], self._coordinator.price(number)
        share = to_decimal(weight, field="weight")
        if not price or traded.inverse:
            why = "has no price yet" if not price else "is inverse: its worth depends on its price"
            raise InvalidInput(f"target: {instrument} {why}", field="instrument", value=instrument)
        wanted = int(Fraction(share) * self._equity(traded.currency) / traded.value(price, 1))
        state = self._tape.state
        open_lots = sum(
            order.left
            for order in state.orders.values()
            if order.instrument == number and order.origin in self._origins
        )
        lots = wanted - self._held(number) - open_lots
        if not lots:
            return None
        terms = Asked(instrument=instrument)
        if route is not None:
            terms["route"] = route
        return self._submit("buy" if lots > 0 else "sell", traded.quantity(abs(lots)), terms)

    def _equity(self, currency: str) -> int:
        """Return the equity of the default route's account in `currency` (1e-8)."""
        state, traded = self._tape.state, self._coordinator.traded
        account = state.accounts[state.owners[self._origins[0]]]
        prices = {number: price for number in range(len(traded)) if (price := self._coordinator.price(number))}
        return equity(account, state.contracts, prices, currency)

    def modify(self, order_id: int, quantity: Quantity | None = None, **terms: Unpack[Asked]) -> None:
        """Ask to change an order: its whole `quantity` (unsigned), or some of its terms; the others stay."""
        self._wish(("modify", _checked(order_id), quantity, terms))

    def cancel(self, order_id: int) -> None:
        """Ask to cancel an order; raise `InvalidInput` for what cannot be an order's id."""
        self._wish(("cancel", _checked(order_id), 0, None))

    def timer(self, at: int, name: str = "") -> None:
        """Ask to be called (`on_timer`) at time `at` (ns UTC), which must be to come."""
        if type(at) is not int or not self.time < at < _ID_MAX:
            raise InvalidInput(f"timer at {at!r}: a time (ns UTC) after now, {self.time}", field="at", value=str(at))
        self._wish(("timer", at, str(name), None))

    def note(self, text: str) -> None:
        """Remember `text` in the journal at this position."""
        self._wish(("note", 0, str(text), None))

    def take(self) -> list[Wish]:
        """Return what was asked for since the last time, in order; the runtime's side of the pen."""
        taken = self.wishes.copy()
        self.wishes.clear()
        for wish in taken:
            if wish[0] in {"buy", "sell"}:
                self._pen.asked -= 1
        return taken

    def _submit(self, action: str, quantity: Quantity, terms: Asked | None) -> int:
        order_id = self._tape.state.next_order_id + self._pen.asked
        self._wish((action, order_id, quantity, terms))
        self._pen.asked += 1
        return order_id

    def _wish(self, wish: Wish) -> None:
        if not self._pen.writes:
            raise InvalidInput(
                f"{wish[0]}: the session does not run: ask from a handler, such as on_bar", field=wish[0]
            )
        if len(self.wishes) >= WISHES_MAX:
            raise InvalidInput(
                f"more than {WISHES_MAX} orders, cancels and notes from one handler at row {self.row}", row=self.row
            )
        self.wishes.append(wish)
