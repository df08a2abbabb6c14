"""What a strategy may see and do at one moment.

Rule 1: nothing later than `now` can be read: an index beyond it raises `LookAhead` and names it.
Rule 2: arrays handed out own their memory: a view's `.base` would be the whole future.
Rule 3: asking for an order only notes the wish; risk and the venue answer after the handler has returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias, TypedDict, Unpack, overload

from kronos.errors import InvalidInput
from kronos.trading.bars import Bars, Int64s
from kronos.trading.instruments import Instrument
from kronos.trading.money import from_money
from kronos.trading.state import TradingState

__all__ = ["WISHES_MAX", "Asked", "Bracket", "Column", "Context", "LookAhead", "Quantity", "Wish"]

Quantity: TypeAlias = Decimal | int | str | float
"""Units of the instrument (1 share, 0.5 BTC); a float is read as its shortest text."""


class Asked(TypedDict, total=False):
    """What an order may say beside its quantity (`terms.NAMES`); prices are in units of the currency.

    `type` is market (default), limit, stop, stop_limit or trailing, with `limit`, `stop`, `trail` as it needs; `tif` is
    GTC (default), IOC, FOK, GTD (with `until`, ns UTC) or DAY; `parent` and `group` are ids of orders.
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


Wish: TypeAlias = tuple[str, int, Quantity | str | None, Asked | None]
"""(buy | sell | modify | cancel | note, order id, quantity or text, terms), as the handler asked for it."""

WISHES_MAX: Final = 10_000
"""Requests that one call of a handler may make: more is a flood."""

_ID_MAX: Final = 2**62


class Bracket(NamedTuple):
    """The ids of an entry and of the two orders that begin when it is filled."""

    entry: int
    stop: int
    target: int


def _checked(order_id: int) -> int:
    if type(order_id) is not int or not 0 < order_id < _ID_MAX:
        raise InvalidInput(f"order id {order_id!r} is not one that buy() or sell() returned", field="order_id")
    return order_id


class LookAhead(InvalidInput, IndexError):  # noqa: N818 - named as its siblings in kronos.errors
    """A strategy reached for a row that it cannot know yet, or for one before the data begins."""

    code = "look_ahead"


class Column:
    """One column of bars, readable up to now: `column[-1]` is the latest value, `column[row]` that of a row."""

    __slots__ = ("_context", "_name", "_values")

    def __init__(self, context: Context, name: str, values: Int64s) -> None:
        self._context = context
        self._name = name
        self._values = values

    def __len__(self) -> int:
        """Return how many rows are known."""
        return self._context.now + 1

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Int64s: ...
    def __getitem__(self, index: int | slice) -> int | Int64s:
        """Return one value, or a copy of a range (shape (n,)); raise `LookAhead` beyond now."""
        known = self._context.now + 1
        if isinstance(index, slice):
            for bound in (index.start, index.stop):
                if bound is not None and bound > known:
                    raise self._beyond(bound - 1)
            return self._values[:known][index].copy()
        row = index + known if index < 0 else index
        if row < 0 or row >= known:
            raise self._beyond(row)
        return int(self._values[row])

    def last(self, count: int) -> Int64s:
        """Return a copy of the latest `count` values, oldest first (shape (count,)); fewer are a `LookAhead`."""
        known = self._context.now + 1
        if count < 0 or count > known:
            raise self._beyond(known - count)
        return self._values[known - count : known].copy()

    def _beyond(self, row: int) -> LookAhead:
        now = self._context.now
        return LookAhead(
            f"{self._name}[{row}] is not known at row {now}: rows 0 to {now} are", column=self._name, row=row, now=now
        )


class Context:
    """The strategy's window on the run and its pen; valid during a handler, the same object every time.

    `row` is the row being processed; `now` the latest row whose bar is known (in `on_fill` that is row - 1).
    `features` are the declared features as of `now`: `ctx.features.NAME`.
    """

    __slots__ = (
        "_asked", "_bars", "_instrument", "_state", "close", "features", "high", "low", "now", "open", "row", "views",
        "volume", "wishes",
    )  # fmt: skip

    def __init__(self, bars: Bars, instrument: Instrument, state: TradingState) -> None:
        self._bars = bars
        self._instrument = instrument
        self._state = state
        self.wishes: list[Wish] = []
        self.features: Any = None
        self.views: Mapping[str, Any] = {}
        self._asked = 0
        self.row = 0
        self.now = -1
        self.open = Column(self, "open", bars.open)
        self.high = Column(self, "high", bars.high)
        self.low = Column(self, "low", bars.low)
        self.close = Column(self, "close", bars.close)
        self.volume = Column(self, "volume", bars.volume)

    @property
    def time(self) -> int:
        """Return the time (ns UTC) at which the latest bar became known; 0 before the first."""
        return int(self._bars.open_time[self.now]) + self._bars.interval_ns if self.now >= 0 else 0

    @property
    def position(self) -> Decimal:
        """Return what is held, in units of the instrument; negative when short."""
        return self._instrument.quantity(self.position_lots)

    @property
    def position_lots(self) -> int:
        """Return what is held, in lots."""
        return self._state.held(0, 0)

    @property
    def cash(self) -> Decimal:
        """Return the cash of the account."""
        return from_money(self._state.accounts[0].cash[self._instrument.currency])

    @property
    def open_orders(self) -> tuple[int, ...]:
        """Return the ids of orders that are not finished."""
        return tuple(self._state.orders)

    @property
    def instrument(self) -> Instrument:
        """Return what is traded: grid, fee and the conversions `price(ticks)` and `quantity(lots)`."""
        return self._instrument

    def feature(self, name: str) -> Any:
        """Return a declared feature's values up to now: `[-1]` the latest, `[row]` that of a row, `last(n)` a copy."""
        view = self.views.get(name)
        if view is None:
            known = ", ".join(self.views) or "none"
            raise InvalidInput(f"no feature {name!r} is declared; declared: {known}", field="feature", value=name)
        return view

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
        self._submit(other, quantity, Asked(type="stop", stop=stop, parent=first, group=group, reduce_only=True))
        self._submit(other, quantity, Asked(type="limit", limit=target, parent=first, group=group, reduce_only=True))
        return Bracket(first, first + 1, first + 2)

    def modify(self, order_id: int, quantity: Quantity | None = None, **terms: Unpack[Asked]) -> None:
        """Ask to change an order: its whole `quantity` (unsigned), or some of its terms; the others stay."""
        self._wish(("modify", _checked(order_id), quantity, terms))

    def cancel(self, order_id: int) -> None:
        """Ask to cancel an order; raise `InvalidInput` for what cannot be an order's id."""
        self._wish(("cancel", _checked(order_id), 0, None))

    def note(self, text: str) -> None:
        """Remember `text` in the journal at this position."""
        self._wish(("note", 0, str(text), None))

    def take(self) -> list[Wish]:
        """Return what was asked for since the last time, in order; the runtime's side of the pen."""
        taken = self.wishes.copy()
        self.wishes.clear()
        self._asked = 0
        return taken

    def _submit(self, action: str, quantity: Quantity, terms: Asked | None) -> int:
        order_id = self._state.next_order_id + self._asked
        self._wish((action, order_id, quantity, terms))
        self._asked += 1
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
