"""When an account's margin is called: found by the prices of its matching streams, recorded, and taken back.

Rule 1: a call is made in the step of the first row whose prices reach the price of the breach, at that row's worst.
Rule 2: between two changes of a position that price is constant where one contract alone is margined in a currency, so
        rows that do not reach it are not looked at; where several are, each of their rows is.
Rule 3: while it is called, and until what backs the account suffices again, every row is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from kronos.errors import InvalidInput
from kronos.trading.accounts import Account
from kronos.trading.bars import Bars
from kronos.trading.coordinator import Coordinator
from kronos.trading.events import MarginCalled
from kronos.trading.margin import breach_price, collateral, maintenance_margin
from kronos.trading.streams import Stream, Trades
from kronos.trading.tape import Tape

__all__ = ["MarginCalls"]

_NEVER: Final = 2**62


class MarginCalls:
    """Looks after every account; `places` are the streams that fill the orders of each instrument."""

    def __init__(self, places: Mapping[int, int], coordinator: Coordinator) -> None:
        self._coordinator, self._traded = coordinator, coordinator.traded
        self._numbers = {place: number for number, place in places.items()}
        self._columns = {number: _extremes(coordinator.streams[place]) for number, place in places.items()}
        self._low: dict[int, int] = {}
        self._high: dict[int, int] = {}

    def attach(self, tape: Tape) -> None:
        """Write to `tape` from now on."""
        self._tape = tape
        self.rearm()

    def rearm(self) -> None:
        """Reckon anew which prices call margin: positions have changed."""
        self._low, self._high = {}, {}
        for account in self._tape.state.accounts:
            margined = [n for n, held in account.holdings.items() if held.quantity and self._traded[n].margined]
            currencies = [self._traded[number].currency for number in margined]
            for number in margined:
                always = account.breached or currencies.count(self._traded[number].currency) > 1
                self._arm(number, None if always else self._level(account, number), account.holdings[number].quantity)
            if account.breached and not margined:
                self._high |= dict.fromkeys(self._numbers.values(), 0)

    def _prices(self) -> dict[int, int]:
        price = self._coordinator.price
        return {number: known for number in self._numbers.values() if (known := price(number))}

    def _level(self, account: Account, number: int) -> int:
        price_max = 2 * self._traded[number].price_max
        level = breach_price(account, self._tape.state.contracts, self._prices(), number, price_max)
        return -1 if level is None else level

    def _arm(self, number: int, level: int | None, quantity: int) -> None:
        if level is None:
            self._high[number] = 0
        elif level >= 0 and quantity > 0:
            self._low[number] = max(level, self._low.get(number, 0))
        elif level >= 0:
            self._high[number] = min(level, self._high.get(number, _NEVER))

    def next_touch(self, place: int, index: int, stop: int) -> int:
        """Return the first of the rows index..stop-1 of stream `place` at which margin may be called, or `stop`."""
        number = self._numbers.get(place, -1)
        low, high = self._low.get(number, 0), self._high.get(number, _NEVER)
        if not low and high == _NEVER:
            return stop
        lows, highs = self._columns[number]
        touched = (lows[index:stop] <= low) | (highs[index:stop] >= high)
        return index + int(touched.argmax()) if touched.any() else stop

    def meet(self, place: int, index: int, row: int, cause: int, at: int) -> list[tuple[int, int]]:
        """Look at row `index` of stream `place`; return (account, position of the record) of every call made."""
        number = self._numbers.get(place)
        if number is None:
            return []
        (lows, highs), prices, made = self._columns[number], self._prices(), []
        for account, owner in enumerate(self._tape.state.accounts):
            holding = owner.holdings.get(number)
            if holding is None or not self._traded[number].margined:
                continue
            prices[number] = int(lows[index] if holding.quantity > 0 else highs[index])
            currency, contracts = self._traded[number].currency, self._tape.state.contracts
            backing = collateral(owner, contracts, prices, currency)
            needed = maintenance_margin(owner, contracts, prices, currency)
            if (backing < needed) != owner.breached:
                origin = self._tape.state.owners.index(account)
                called = self._tape.write(
                    MarginCalled, row, origin, (cause,), account, currency, at, backing, needed, backing < needed
                )
                if called.called:
                    made.append((account, called.sub))
        self.rearm()
        return made


def _extremes(stream: Stream) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    if isinstance(stream, Bars):
        return stream.low, stream.high
    if isinstance(stream, Trades):
        return stream.price, stream.price
    raise InvalidInput(
        f"{stream.instrument}: margin is called by bars or trades, and depth fills its orders: use one of the two, or "
        "make it spot",
        field="instruments.kind",
        value=stream.instrument,
    )
