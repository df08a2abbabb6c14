"""What came of a backtest, for a person at a notebook: frames, figures, plots, and the state at any row.

Rule 1: everything shown is derived from the journal; nothing is kept beside it.
Rule 2: pandas and matplotlib are asked for when a frame or a plot is; without them every figure is still there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from html import escape
from operator import index
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from kronos.errors import InvalidInput, Unavailable
from kronos.flows.artifacts import write_artifacts
from kronos.flows.charts import Line, chart
from kronos.flows.lookback import state_before
from kronos.flows.tables import as_floats, tables_of
from kronos.flows.tearsheet import tear_sheet
from kronos.market.frames import frame_of
from kronos.market.prepared import Prepared
from kronos.trading.analysis import Analysis, analyse
from kronos.trading.backtest import Backtest
from kronos.trading.journal import MemoryRecorder
from kronos.trading.ledger import Ledger, read_ledger
from kronos.trading.results import Result, StateView
from kronos.trading.stats import Statistics
from kronos.trading.strategy import Strategy
from kronos.trading.tracing import TradeOrigin, trace_trade

__all__ = ["Outcome"]

_POINTS_MAX: Final = 1_000


class Outcome:
    """A finished run in memory: `result` has its totals and hashes, `segments` its journal."""

    def __init__(
        self, *, run: Backtest, result: Result, recorder: MemoryRecorder, prepared: Prepared, made: Strategy
    ) -> None:
        """Show `run`, whose strategy was a copy of `made`."""
        self.run, self.result, self.prepared, self.made = run, result, prepared, made
        self._recorder = recorder

    @property
    def segments(self) -> list[bytes]:
        """The journal, sealed segment by segment: the bytes that a durable run stores."""
        return [segment.data for segment in self._recorder.segments]

    @property
    def core_chain(self) -> str:
        """The head that is equal on every machine, hex."""
        return self.result.core_chain

    @cached_property
    def ledger(self) -> Ledger:
        """The reading side of the journal."""
        return read_ledger(self.segments, self.run.bars, self.run.instrument)

    @cached_property
    def statistics(self) -> Statistics:
        """Every figure, annualised by the calendar of the data."""
        return self.analysis.statistics

    @cached_property
    def analysis(self) -> Analysis:
        """All figures: risk against buying and holding, trades, the shortfall, and the run at other costs."""
        return analyse(self.ledger, self.prepared.calendar)

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
        """`trades`, `orders`, `fills` and `equity` as Arrow tables with exact decimals."""
        return tables_of(self.ledger)

    def trades(self, *, exact: bool = False) -> Any:
        """Return closed and open trades as a DataFrame; `exact` keeps Decimals instead of float64."""
        return self._frame("trades", exact=exact)

    def orders(self, *, exact: bool = False) -> Any:
        """Return every order and what became of it as a DataFrame."""
        return self._frame("orders", exact=exact)

    def fills(self, *, exact: bool = False) -> Any:
        """Return every execution as a DataFrame."""
        return self._frame("fills", exact=exact)

    def equity(self, *, exact: bool = False) -> Any:
        """Return equity, drawdown and position at each bar's close as a DataFrame indexed by time (UTC)."""
        return self._frame("equity", exact=exact).set_index("time")

    def _frame(self, name: str, *, exact: bool) -> Any:
        table = self.tables[name]
        return frame_of(table if exact else as_floats(table))

    def state(self, row: int) -> StateView:
        """Return portfolio and open orders before `row` as recorded, strategy variables re-executed from a checkpoint.

        What is made again is held against the record, at the row and at the end of every block of 4,096 rows that was
        passed: `differs` says what a strategy does not repeat.  The last row is followed by the state at the end.
        Raises `InvalidInput` for a row that the run has not.
        """
        row = _whole("row", row)
        first, last = self.run.first_row, self.run.stop_row
        if not first <= row <= last:
            raise InvalidInput(
                f"row {row} is outside the rows of this run: {first} to {last} ({last} is after the last row)",
                field="row",
                value=row,
            )
        return state_before(self.run, self.made, self._recorder, row)

    def plot(self) -> Any:
        """Return a matplotlib figure of equity over drawdown; raise `Unavailable` naming the extra that it needs."""
        try:
            from matplotlib.figure import Figure
        except ModuleNotFoundError:
            raise Unavailable(
                "plots need matplotlib, which is not installed: pip install 'kronos[notebook]'", extra="notebook"
            ) from None
        times = self.ledger.times.astype("datetime64[ns]")
        figure = Figure(figsize=(10, 5), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        above.plot(times, self.ledger.equity(), linewidth=1)
        above.set_ylabel(f"equity, {self.result.currency}")
        above.set_title(f"{self.result.strategy} on {self.result.instrument}", loc="left")
        below.fill_between(times, self.ledger.drawdown() * 100, linewidth=0, alpha=0.5)
        below.set_ylabel("drawdown, %")
        return figure

    def trace(self, trade: int) -> TradeOrigin:
        """Return a trade (by its number) with the chain of causes of its entry and of its exit."""
        return trace_trade(self.ledger, _whole("trade", trade))

    def tear_sheet(self) -> str:
        """Return a page of HTML that needs nothing but itself: plots, monthly returns, figures, other costs."""
        title = f"{self.result.strategy} on {self.result.instrument}"
        return tear_sheet(self.ledger, self.analysis, title=title, core_chain=self.core_chain)

    def save(self, folder: Path | str) -> list[Path]:
        """Write tables (Parquet and CSV), figures and the tear sheet into `folder` and return the files."""
        title = f"{self.result.strategy} on {self.result.instrument}"
        return write_artifacts(folder, self.ledger, self.analysis, title=title, core_chain=self.core_chain)

    def _repr_html_(self) -> str:
        """Return a small page: the equity as inline SVG, and the figures; it needs neither pandas nor matplotlib."""
        equity, times = self.ledger.equity(), self.ledger.times
        stride = max(1, len(equity) // _POINTS_MAX)
        points = [(int(at), float(worth)) for at, worth in zip(times[::stride], equity[::stride], strict=True)]
        points.append((int(times[-1]), float(equity[-1])))
        drawn = chart([Line(points, "l0")], label="Equity", unit=self.result.currency, height=240)
        rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in self._figures())
        return f"{_STYLE}<div class='kronos-outcome'>{drawn}<table>{rows}</table></div>"

    def _figures(self) -> Sequence[tuple[str, str]]:
        found, result = self.statistics, self.result
        return (
            ("strategy", f"{result.strategy} on {result.instrument}, {result.rows:,} bars"),
            ("equity", f"{result.equity:,.2f} {result.currency}"),
            ("return", f"{found.total_return:+.2%}"),
            ("Sharpe", f"{found.sharpe:.2f}"),
            ("max drawdown", f"{found.max_drawdown:.2%}"),
            ("trades", f"{found.trades:,} closed, {found.open_trades:,} open"),
            ("core chain", result.core_chain[:16]),
        )

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self._figures())
        return f"<{type(self).__name__} {told}>"


def _whole(field: str, value: Any) -> int:
    """Return a whole number of any integer type; raise `InvalidInput` for anything else, booleans too."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidInput(f"{field}: {value!r} is no whole number", field=field, value=repr(value))
    return index(value)


_STYLE: Final = (
    "<style>.kronos-outcome svg{width:100%;max-width:860px}.kronos-outcome text{font:11px monospace;fill:currentColor}"
    ".kronos-outcome .line{fill:none;stroke:#2f6fde;stroke-width:1.5}"
    ".kronos-outcome .grid{stroke:currentColor;opacity:.15}</style>"
)
