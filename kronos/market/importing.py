"""From a table of bars to canonical columns: what is meant by its cells, and whether it may pass."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kronos.errors import InvalidInput
from kronos.market.actions import Action, place_actions
from kronos.market.calendars import CALENDARS
from kronos.market.columns import Place, choose_columns, read_numbers, read_times
from kronos.market.dataset import Dividend, Source
from kronos.market.exact import to_steps
from kronos.market.prepared import Prepared
from kronos.market.quality import check_gaps, check_prices, check_times, find_gaps, find_jumps
from kronos.trading.bars import Split
from kronos.trading.columns import Int64s
from kronos.trading.settling import settle

__all__ = ["ImportOptions", "prepare_bars"]

PRICES: Final = ("open", "high", "low", "close")


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to read a table: what is None is detected (mapping, tick, volume step, interval) or not declared (calendar).

    `mapping` is field → column for the fields time, open, high, low, close, volume.  `actions` are splits and dividends
    by time (`actions.read_actions`); `splits` and `dividends` are those whose row is known.
    """

    name: str
    instrument: str
    mapping: dict[str, str] | None = None
    tick: Decimal | None = None
    volume_step: Decimal | None = None
    interval_ns: int | None = None
    gaps: Literal["refuse", "accept"] = "refuse"
    calendar: str | None = None
    splits: tuple[Split, ...] = ()
    dividends: tuple[Dividend, ...] = ()
    actions: tuple[Action, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values that no import can mean."""
        if self.gaps not in {"refuse", "accept"}:
            raise InvalidInput(f"gaps: {self.gaps!r} is neither refuse nor accept", field="gaps", value=self.gaps)
        settle(self)
        if self.calendar is not None and self.calendar not in CALENDARS:
            raise InvalidInput(
                f"calendar: {self.calendar!r} is none of {', '.join(CALENDARS)}", field="calendar", value=self.calendar
            )
        for field in ("tick", "volume_step"):
            step = getattr(self, field)
            if step is not None and not (step.is_finite() and step > 0):
                raise InvalidInput(f"{field}: {step} must be positive", field=field, value=str(step))
        if self.interval_ns is not None and self.interval_ns <= 0:
            raise InvalidInput(f"interval: {self.interval_ns} ns must be positive", field="interval_ns")


def prepare_bars(table: pa.Table, options: ImportOptions, place: Place, sha256: str) -> Prepared:
    """Return the bars of `table`; raise `DataError` naming the first cell or row that cannot be accepted."""
    if not table.num_rows:
        place.refuse("has no rows")
    names = choose_columns(table.column_names, options.mapping, place)
    times = read_times(table[names["time"]], names["time"], place)
    interval_ns = check_times(times, options.interval_ns, names["time"], place)
    columns, tick, volume_step = _steps(table, names, options, place)
    columns["open_time"] = times
    check_prices(columns, names, place)
    gaps = find_gaps(times, interval_ns, options.calendar)
    check_gaps(gaps, accept=options.gaps == "accept", calendar=options.calendar, place=place)
    splits, dividends = place_actions(options.actions, times, place)
    splits, dividends = [*options.splits, *splits], [*options.dividends, *dividends]
    return Prepared(
        kind="bars",
        name=options.name,
        instrument=options.instrument,
        columns=columns,
        tick=tick,
        volume_step=volume_step,
        interval_ns=interval_ns,
        calendar=options.calendar or "24x7",
        source=Source(file=place.file, sha256=sha256, mapping=names),
        splits=tuple(splits),
        dividends=tuple(dividends),
        jumps=find_jumps(times, columns["close"], (split.row for split in splits)),
        gaps=gaps,
    )


def _steps(
    table: pa.Table, names: Mapping[str, str], options: ImportOptions, place: Place
) -> tuple[dict[str, Int64s], Decimal, Decimal]:
    """Return prices in ticks and volume in steps, with the tick and the step; a file without volume has none (0)."""
    prices: dict[str, npt.NDArray[Any]] = {
        names[field]: read_numbers(table[names[field]], names[field], place) for field in PRICES
    }
    exact, tick = to_steps(prices, options.tick, place)
    columns = {field: exact[names[field]] for field in PRICES}
    if "volume" not in names:
        columns["volume"] = np.zeros(table.num_rows, dtype=np.int64)
        return columns, tick, Decimal(1)
    name = names["volume"]
    volume, step = to_steps({name: read_numbers(table[name], name, place)}, options.volume_step, place)
    columns["volume"] = volume[name]
    return columns, tick, step
