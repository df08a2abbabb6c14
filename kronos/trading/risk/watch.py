"""Keeps what risk remembers of each account up to date with the rows that are known: peaks, results, requests.

Rule 1: it is told before a position changes and after, and before every judgement; in between nothing is looked at.
Rule 2: whatever it finds becomes a `RiskMarked` record, and only if it changes what is remembered.
Rule 3: between two records positions are constant, so the highest equity of a lone position is at an extreme of its
        prices: one pass over the column.  Of several positions it is looked for at every row of their prices.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from kronos.trading.accounts import Account
from kronos.trading.bars import Bars
from kronos.trading.coordinator import Coordinator
from kronos.trading.events import RiskMarked
from kronos.trading.margin import equity
from kronos.trading.marks import booked
from kronos.trading.risk.limits import Limits
from kronos.trading.streams import Depth, Quotes
from kronos.trading.tape import Tape

__all__ = ["Watch"]


class Watch:
    """The marks of all accounts of a session; the limits are those of any of its instruments."""

    def __init__(self, coordinator: Coordinator, limits: Limits) -> None:
        self._coordinator, self._limits = coordinator, limits

    def attach(self, tape: Tape) -> None:
        """Write to `tape` from now on, going on from what its state remembers."""
        self._tape = tape
        self._rows = {account: marks.rows for account, marks in tape.state.marks.items()}

    def look(self, row: int, at: int, cause: int) -> None:
        """Take in the rows that are known, before a position changes or an intent is judged at time `at`."""
        if self._limits.drawdown_max is None:
            return
        known = self._coordinator.known_rows
        for account, seen in self._rows.items():
            if known <= seen:
                continue
            owner, marks = self._tape.state.accounts[account], self._tape.state.marks[account]
            self._rows[account] = known
            for currency in sorted(owner.cash):
                peak = max(self._equities(owner, currency, seen, known), default=0)
                if peak > marks.peaks.get(currency, 0):
                    self._mark(account, currency, row, at, cause, peak=peak)

    def booked(self, account: int, number: int, row: int, at: int, cause: int) -> None:
        """Remember that a position in an instrument or its result has changed."""
        if self._limits.drawdown_max is not None or self._limits.rolling_loss_max is not None:
            self._rows[account] = max(self._rows[account], self._coordinator.known_rows)
            self._mark(account, self._coordinator.traded[number].currency, row, at, cause)

    def requested(self, account: int, number: int, request: str, row: int, at: int, cause: int) -> None:  # noqa: PLR0917
        """Meter an `order` or a `cancel` that was allowed."""
        if self._limits.cancel_rate if request == "cancel" else self._limits.order_rate:
            self._mark(account, self._coordinator.traded[number].currency, row, at, cause, request=request)

    def _mark(
        self, account: int, currency: str, row: int, at: int, cause: int, *, peak: int | None = None, request: str = ""
    ) -> None:
        state = self._tape.state
        peak = state.marks[account].peaks.get(currency, 0) if peak is None else peak
        total, origin = booked(state.accounts[account], state.contracts, currency), state.owners.index(account)
        rows = self._rows[account]
        self._tape.write(RiskMarked, row, origin, (cause,), account, at, rows, currency, peak, total, request)

    # -- equity at the rows from `seen` to before `known`

    def _equities(self, owner: Account, currency: str, seen: int, known: int) -> Iterator[int]:
        """Yield equities (1e-8) among which is the highest of those rows."""
        traded, contracts = self._coordinator.traded, self._tape.state.contracts
        held = [n for n, each in owner.holdings.items() if each.quantity and traded[n].currency == currency]
        if not held:
            yield equity(owner, contracts, {}, currency)
        elif len(held) == 1:
            prices = self._prices(held[0], seen, known)
            if len(prices):
                long = owner.holdings[held[0]].quantity > 0
                best = int(prices.max() if long else prices.min())
                yield equity(owner, contracts, {held[0]: best}, currency)
        else:
            for prices_at in self._joined(held, seen, known):
                yield equity(owner, contracts, prices_at, currency)

    def _prices(self, number: int, seen: int, known: int) -> npt.NDArray[np.int64]:
        """Return the prices (ticks) of an instrument at those rows (shape (rows of its stream,))."""
        place, timeline = self._coordinator.priced[number], self._coordinator.timeline
        start, stop = timeline.index(place, seen), timeline.index(place, known)
        stream = self._coordinator.streams[place]
        if isinstance(stream, Bars):
            return stream.close[start:stop]
        if isinstance(stream, Quotes):
            return np.asarray((stream.bid[start:stop] + stream.ask[start:stop]) // 2)
        return stream.price[start:start] if isinstance(stream, Depth) else stream.price[start:stop]

    def _joined(self, held: list[int], seen: int, known: int) -> Iterator[dict[int, int]]:
        """Yield the prices of several instruments after each of their rows."""
        timeline, priced = self._coordinator.timeline, self._coordinator.priced
        moves: list[tuple[int, int, int]] = []
        prices: dict[int, int] = {}
        for number in held:
            place = priced[number]
            start = timeline.index(place, seen)
            if start:
                prices[number] = int(self._prices(number, timeline.ordinal(place, start - 1), seen)[-1])
            column = self._prices(number, seen, known).tolist()
            rows = timeline.ordinals(place, start, start + len(column)).tolist()
            moves += zip(rows, [number] * len(rows), column, strict=True)
        for _, number, price in sorted(moves):
            prices[number] = price
            yield prices
