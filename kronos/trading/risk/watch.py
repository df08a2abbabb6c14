"""Keeps what risk remembers of one account on one stream of closes: peaks, results, requests.

Rule 1: it is told before a position changes and after, and before every judgement; in between nothing is looked at.
Rule 2: whatever it finds becomes a `RiskMarked` record, and only if it changes what is remembered.
Rule 3: between two records the position is constant, so the highest equity is at the highest close of a long and the
        lowest of a short: one pass over the column, wherever the run was restored.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kronos.trading.events import RiskMarked
from kronos.trading.instruments import Instrument
from kronos.trading.margin import equity
from kronos.trading.marks import RiskMarks, booked
from kronos.trading.risk.limits import Limits
from kronos.trading.tape import Tape

__all__ = ["Watch"]


class Watch:
    """The marks of account `account` on the closes (shape (rows,), ticks) of `instrument`."""

    def __init__(
        self,
        closes: npt.NDArray[np.int64],
        traded: Instrument,
        limits: Limits,
        *,
        account: int = 0,
        instrument: int = 0,
    ) -> None:
        self._closes, self._traded, self._limits = closes, traded, limits
        self._account, self._instrument = account, instrument

    def attach(self, tape: Tape) -> None:
        """Write to `tape` from now on, going on from what its state remembers."""
        self._tape = tape
        self._rows = self._marks.rows
        self._peak = self._marks.peaks[self._traded.currency]

    @property
    def _marks(self) -> RiskMarks:
        return self._tape.state.marks[self._account]

    def look(self, row: int, now: int, at: int, cause: int) -> None:
        """Take in the closes up to row `now`, before the position changes or an intent is judged at time `at`."""
        if self._limits.drawdown_max is None:
            return
        closes = self._closes[self._rows : now + 1]
        if len(closes):
            long = self._tape.state.held(0, self._instrument) >= 0
            self._peak = max(self._peak, self._equity(int(closes.max() if long else closes.min())))
            self._rows = now + 1
        if self._peak > self._marks.peaks[self._traded.currency]:
            self._mark(row, at, cause)

    def booked(self, row: int, now: int, at: int, cause: int) -> None:
        """Remember that the position or its result has changed."""
        if self._limits.drawdown_max is not None or self._limits.rolling_loss_max is not None:
            self._rows = max(self._rows, now + 1)
            self._mark(row, at, cause)

    def requested(self, request: str, row: int, at: int, cause: int) -> None:
        """Meter an `order` or a `cancel` that was allowed."""
        if self._limits.cancel_rate if request == "cancel" else self._limits.order_rate:
            self._mark(row, at, cause, request)

    def _mark(self, row: int, at: int, cause: int, request: str = "") -> None:
        currency = self._traded.currency
        total = booked(self._tape.state.accounts[self._account], self._tape.state.contracts, currency)
        self._tape.write(
            RiskMarked, row, 0, (cause,), self._account, at, self._rows, currency, self._peak, total, request
        )

    def _equity(self, price: int) -> int:
        state = self._tape.state
        account = state.accounts[self._account]
        return equity(account, state.contracts, {self._instrument: price}, self._traded.currency)
