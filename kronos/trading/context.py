"""What a strategy may see and do at one moment.

Rule 1: a strategy sees the streams that it subscribes to, its own orders and the accounts of its routes, as they stood
        when the step began; it changes none of it, and sees nothing of an exchange: routes and instruments are names.
Rule 2: asking for an order only notes the wish; risk and the venue answer after the handler has returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn

from kronos.errors import InvalidInput
from kronos.trading.asking import WISHES_MAX, Asked, Asking, Bracket, Leg, Pen, Quantity, Wish
from kronos.trading.book import BookView
from kronos.trading.coordinator import Coordinator
from kronos.trading.events import OrderFilled
from kronos.trading.instruments import Instrument
from kronos.trading.money import from_money
from kronos.trading.tape import Tape
from kronos.trading.views import Column, Cursor, LookAhead, View

__all__ = ["WISHES_MAX", "Asked", "Bracket", "Column", "Context", "Leg", "LookAhead", "Pen", "Quantity", "Wish"]


class Context(Asking):
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

    def __reduce__(self) -> Any:
        """Refuse to travel: a context belongs to one run (checkpoints know it by name)."""
        raise TypeError("a context cannot be pickled: keep values, not the context")
