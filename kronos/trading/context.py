"""What a strategy may see and do at one moment.

Rule 1: a strategy sees the streams that it subscribes to, its own orders and the accounts of its routes, as they stood
        when the step began; it changes none of it, and sees nothing of an exchange: routes and instruments are names.
Rule 2: asking for an order only notes the wish; risk and the venue answer after the handler has returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias, TypedDict, Unpack

from kronos.errors import InvalidInput
from kronos.trading.book import BookView
from kronos.trading.coordinator import Coordinator
from kronos.trading.events import OrderFilled
from kronos.trading.instruments import Instrument
from kronos.trading.margin import equity
from kronos.trading.money import from_money, to_decimal
from kronos.trading.tape import Tape
from kronos.trading.views import Column, Cursor, LookAhead, View

__all__ = ["WISHES_MAX", "Asked", "Bracket", "Column", "Context", "LookAhead", "Pen", "Quantity", "Wish"]

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


Wish: TypeAlias = tuple[str, int, Quantity | str | None, Asked | None]
"""(buy | sell | modify | cancel | note | timer, order id or time, quantity or text, terms), as it was asked for."""

WISHES_MAX: Final = 10_000
"""Requests that one call of a handler may make: more is a flood."""

_ID_MAX: Final = 2**62


class Pen:
    """How many orders were asked for in this step, by all strategies together: it makes their ids."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        self.asked = 0


class Bracket(NamedTuple):
    """The ids of an entry and of the two orders that begin when it is filled."""

    entry: int
    stop: int
    target: int


def _checked(order_id: int) -> int:
    if type(order_id) is not int or not 0 < order_id < _ID_MAX:
        raise InvalidInput(f"order id {order_id!r} is not one that buy() or sell() returned", field="order_id")
    return order_id


class Context:
    """A strategy's window on the session and its pen; valid during a handler, the same object every time.

    `open, high, low, close, volume` are columns of its first stream of bars (number `primary`), `now` the latest row of
    it that is known (in `on_fill` that is the row before the one that fills); `features` are the declared features as
    of `now`: `ctx.features.NAME`.
    """

    __slots__ = (
        "_columns", "_coordinator", "_cursor", "_numbers", "_origins", "_pen", "_tape", "_views", "close", "features",
        "high", "low", "open", "primary", "volume", "wishes",
    )  # fmt: skip

    _columns: Mapping[str, Any]
    _coordinator: Coordinator
    _cursor: Cursor
    _numbers: list[int]
    _origins: tuple[int, ...]
    _pen: Pen
    _tape: Tape
    _views: dict[int, View]
    wishes: list[Wish]
    features: Any
    primary: int | None
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column

    def __init__(
        self, coordinator: Coordinator, tape: Tape, pen: Pen, *, streams: Sequence[int], origins: Sequence[int]
    ) -> None:
        """Show `streams` (numbers); `origins` are those of the strategy, that of the default route first."""
        views = {stream: coordinator.views[stream] for stream in streams}
        primary = next((stream for stream, view in views.items() if view.kind == "bars"), None)
        put = super().__setattr__
        put("_coordinator", coordinator)
        put("_tape", tape)
        put("_pen", pen)
        put("_views", views)
        put("_cursor", Cursor() if primary is None else coordinator.cursors[primary])
        put("_origins", tuple(origins))
        put("_numbers", list(dict.fromkeys(coordinator.numbers[view.instrument] for view in views.values())))
        put("wishes", [])
        put("primary", primary)
        self.show(None, {})
        if primary is not None:
            for name in ("open", "high", "low", "close", "volume"):
                put(name, getattr(views[primary], name))

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        """Refuse to be changed: what a strategy sees is the snapshot of all."""
        raise AttributeError(f"{name}: what a strategy sees cannot be changed")

    def show(self, features: Any, columns: Mapping[str, Any]) -> None:
        """Show declared features: their values as of now, and each as a column; the runtime's side."""
        super().__setattr__("features", features)
        super().__setattr__("_columns", columns)

    # -- seeing

    @property
    def row(self) -> int:
        """Return the row of the timeline that is being processed."""
        return self._coordinator.row

    @property
    def now(self) -> int:
        """Return the latest row of the first stream of bars that is known, -1 before the first."""
        return self._cursor.now

    @property
    def time(self) -> int:
        """Return the time (ns UTC) of what is being handled; 0 before anything is known."""
        return self._coordinator.time

    @property
    def snapshot_id(self) -> int:
        """Return how many records had been written when this step's snapshot was taken: equal for all its handlers."""
        return self._tape.state.records

    def feature(self, name: str) -> Any:
        """Return a declared feature's values up to now: `[-1]` the latest, `[row]` that of a row, `last(n)` a copy."""
        view = self._columns.get(name)
        if view is None:
            known = ", ".join(self._columns) or "none"
            raise InvalidInput(f"no feature {name!r} is declared; declared: {known}", field="feature", value=name)
        return view

    @property
    def views(self) -> tuple[View, ...]:
        """Return every stream that is subscribed to."""
        return tuple(self._views.values())

    def view(self, kind: str, instrument: str | None = None, interval_ns: int = 0) -> View:
        """Return the view of a stream that is subscribed to; raise `InvalidInput` naming those that are."""
        for view in self._views.values():
            if view.kind == kind and instrument in {None, view.instrument} and interval_ns in {0, view.interval_ns}:
                return view
        known = ", ".join(f"{view.kind} of {view.instrument}" for view in self._views.values())
        raise InvalidInput(f"{kind} of {instrument}: not subscribed to; {known} are", field="instrument")

    def book(self, instrument: str) -> BookView:
        """Return the book of an instrument whose depth is subscribed to, as of now; raise `InvalidInput` for others."""
        for place, view in self._views.items():
            if view.kind == "depth" and view.instrument == instrument:
                return BookView(self._coordinator.book(place))
        raise InvalidInput(f"book of {instrument}: not subscribed to", field="instrument", value=instrument)

    @property
    def instrument(self) -> Instrument:
        """Return what is traded: grid, fee and the conversions `price(ticks)` and `quantity(lots)`."""
        return self._coordinator.traded[self._numbers[0]]

    @property
    def instruments(self) -> dict[str, Instrument]:
        """Return everything that this strategy sees, by name."""
        return {self._coordinator.names[number]: self._coordinator.traded[number] for number in self._numbers}

    @property
    def position(self) -> Decimal:
        """Return what is held of the first instrument by the default route's account; negative when short."""
        return self.instrument.quantity(self.position_lots)

    @property
    def position_lots(self) -> int:
        """Return `position` in lots."""
        return self._held(self._numbers[0])

    def position_of(self, instrument: str) -> Decimal:
        """Return what the default route's account holds of an instrument that this strategy sees."""
        number = self.number_of(instrument)
        if number is None:
            raise InvalidInput(f"instrument {instrument!r}: one of {', '.join(self.instruments)}", field="instrument")
        return self._coordinator.traded[number].quantity(self._held(number))

    def _held(self, number: int) -> int:
        """Return what is held as far as reports have come: a fill whose report travels is not known yet."""
        state, origin = self._tape.state, self._origins[0]
        held = state.held(origin, number)
        return (
            held - sum(fill.quantity for fill in self._travelling() if fill.instrument == number)
            if state.schedule.entries
            else held
        )

    def _travelling(self) -> list[OrderFilled]:
        """Return the fills of the default route's account whose reports are on their way."""
        state, found = self._tape.state, []
        for entry in state.schedule.entries:
            report = entry.report
            if isinstance(report, OrderFilled) and state.owners[report.origin] == state.owners[self._origins[0]]:
                found.append(report)
        return found

    @property
    def cash(self) -> Decimal:
        """Return the cash of the default route's account, in the currency of the first instrument."""
        state = self._tape.state
        account = state.accounts[state.owners[self._origins[0]]]
        cash, traded = account.cash.get(self.instrument.currency, 0), self._coordinator.traded
        for fill in self._travelling():
            each = traded[fill.instrument]
            if each.currency == self.instrument.currency:
                cash += fill.fee + (0 if each.margined else each.value(fill.price, fill.quantity))
        return from_money(cash)

    @property
    def open_orders(self) -> tuple[int, ...]:
        """Return the ids of this strategy's orders that are not finished."""
        state = self._tape.state
        ids = [order.id for order in state.orders.values() if order.origin in self._origins]
        unheard = [
            each.report.order_id for each in state.schedule.entries if each.report and each.origin in self._origins
        ]
        return tuple(dict.fromkeys([*ids, *unheard])) if unheard else tuple(ids)

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of the instruments that this strategy sees; the runtime's side."""
        return self._numbers

    @property
    def universe(self) -> tuple[str, ...]:
        """Return the instruments that this strategy sees and that may be traded now, by name."""
        unlisted = self._tape.state.unlisted
        return tuple(self._coordinator.names[number] for number in self._numbers if number not in unlisted)

    def number_of(self, instrument: str | None) -> int | None:
        """Return an instrument's number, None for one that this strategy does not see; the runtime's side."""
        if instrument is None:
            return self._numbers[0] if len(self._numbers) == 1 else None
        number = self._coordinator.numbers.get(instrument)
        return number if number in self._numbers else None

    # -- asking

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
        if len(self.wishes) >= WISHES_MAX:
            raise InvalidInput(
                f"more than {WISHES_MAX} orders, cancels and notes from one handler at row {self.row}", row=self.row
            )
        self.wishes.append(wish)

    def __reduce__(self) -> Any:
        """Refuse to travel: a context belongs to one run (checkpoints know it by name)."""
        raise TypeError("a context cannot be pickled: keep values, not the context")
