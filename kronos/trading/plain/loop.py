"""Row by row: the venue meets it, strategies hear of it, what they asked for is decided.

Rule: an oracle for tests: bars, and nothing travels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from kronos.errors import InvalidInput
from kronos.trading.backtest import Backtest
from kronos.trading.bars import Bar, Bars
from kronos.trading.coordinator import Coordinator
from kronos.trading.desk import Desk
from kronos.trading.plain.bars import PlainBarVenue
from kronos.trading.plain.trades import PlainTradeVenue
from kronos.trading.positions import cause_id
from kronos.trading.seats import Seat
from kronos.trading.venue.exchange import Makers

__all__ = ["PLAIN", "PlainBacktest"]

PLAIN: Final = Makers(PlainBarVenue, PlainTradeVenue)


class _PlainLoop:
    """Shows each row of bars to the venue and to every strategy."""

    def __init__(self, bars: Bars, coordinator: Coordinator, desk: Desk, seats: Sequence[Seat]) -> None:
        self._bars, self._coordinator, self._desk, self._seats = bars, coordinator, desk, seats

    def rows(self, start: int, stop: int) -> int:
        """Dispatch rows start..stop-1 and return `stop`."""
        for row in range(start, stop):
            self._coordinator.row = row
            self._desk.meet(0, row, row, cause_id(row, 0))
            self._coordinator.cursors[0].now = row
            for seat in self._seats:
                if seat.features is not None:
                    seat.features.attach(seat.context)
                given: object = seat.strategy.on_bar(seat.context, self._bar(row))  # type: ignore[func-returns-value]
                if given is not None:
                    seat.refuse("on_bar", given)
            self._desk.decide(row, cause_id(row, 0))
        return stop

    def _bar(self, row: int) -> Bar:
        bars = self._bars
        return Bar(
            row=row,
            time=int(bars.open_time[row]) + bars.interval_ns,
            open=int(bars.open[row]),
            high=int(bars.high[row]),
            low=int(bars.low[row]),
            close=int(bars.close[row]),
            volume=int(bars.volume[row]),
            instrument=bars.instrument,
            interval_ns=bars.interval_ns,
        )


class PlainBacktest(Backtest):
    """A `Backtest` on the plain loop; what a strategy raises passes through."""

    _makers: ClassVar[Makers] = PLAIN

    def _build(self, rules: Any) -> None:
        super()._build(rules)
        if len(self.streams) != 1 or not isinstance(self.streams[0], Bars):
            raise InvalidInput("the plain loop reads the bars of one instrument", field="streams")
        self._dispatch = _PlainLoop(self.streams[0], self._coordinator, self._desk, self._seats)  # type: ignore[assignment]
