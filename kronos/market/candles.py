"""Candles of any interval from trades.

Rule 1: a candle covers [k · interval, (k + 1) · interval) of the trades' own time; it is available at its end.
Rule 2: an interval without a trade has no candle: nothing is invented.
"""

from __future__ import annotations

from kronos.errors import InvalidInput
from kronos.market.dataset import Source
from kronos.market.prepared import Prepared
from kronos.market.quality import find_gaps
from kronos.trading.columns import Int64s
from kronos.trading.streams import Trades

__all__ = ["candle_columns", "prepare_candles"]


def candle_columns(trades: Trades, interval_ns: int) -> dict[str, Int64s]:
    """Return the canonical columns of bars (shape (candles,)); trades must ascend in time."""
    if interval_ns <= 0:
        raise InvalidInput(f"interval: {interval_ns} ns must be positive", field="interval_ns", value=str(interval_ns))
    from kronos.trading.fast.candles import candles  # compiled: only who makes candles waits for it

    made = candles(trades.time, trades.price, trades.quantity, interval_ns)
    if made is None:
        raise InvalidInput(f"trades of {trades.instrument} go back in time: candles need them in order", field="time")
    return dict(zip(("open_time", "open", "high", "low", "close", "volume"), made, strict=True))


def prepare_candles(trades: Trades, interval_ns: int, *, name: str) -> Prepared:
    """Return bars made of `trades`; the dataset that they become names its source."""
    columns = candle_columns(trades, interval_ns)
    return Prepared(
        kind="bars",
        name=name,
        instrument=trades.instrument,
        columns=columns,
        tick=trades.tick,
        volume_step=trades.volume_step,
        interval_ns=interval_ns,
        source=Source(file="", sha256="", mapping={}),
        gaps=find_gaps(columns["open_time"], interval_ns, None),
        derived=trades.dataset,
    )
