"""Columns that have passed the gate and are not yet a dataset."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from kronos.kernel.ids import DatasetId
from kronos.market.dataset import Dataset, Dividend, Finding, Gap, Jump, Source, dataset_id
from kronos.trading.bars import Split
from kronos.trading.columns import Int64s

__all__ = ["Prepared"]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """One stream's canonical columns (`streams.COLUMNS_OF[kind]`, each int64 of shape (rows,)) and what is known of it.

    `tick` and `volume_step` are the grid of prices and quantities; `interval_ns` is that of bars, else 0.
    """

    kind: str
    name: str
    instrument: str
    columns: dict[str, Int64s]
    tick: Decimal
    volume_step: Decimal
    source: Source
    interval_ns: int = 0
    calendar: str = "24x7"
    splits: tuple[Split, ...] = ()
    dividends: tuple[Dividend, ...] = ()
    jumps: list[Jump] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    derived: str = ""

    def dataset(self, leaves: list[str]) -> Dataset:
        """Return the handle of what these columns become; `leaves` are `dataset.leaves_of` them."""
        start_ns, end_ns = self.span
        found = Dataset(
            id=DatasetId(""),
            name=self.name,
            kind=self.kind,
            instrument=self.instrument,
            tick=self.tick,
            volume_step=self.volume_step,
            rows=self.rows,
            start_ns=start_ns,
            end_ns=end_ns,
            interval_ns=self.interval_ns,
            calendar=self.calendar,
        )
        return msgspec.structs.replace(found, id=dataset_id(leaves, found, splits=list(self.splits)))

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values())))

    @property
    def span(self) -> tuple[int, int]:
        """Return when the first row happened and the last was known (ns UTC)."""
        if self.kind == "bars":
            times = self.columns["open_time"]
            return int(times[0]), int(times[-1]) + self.interval_ns
        return int(self.columns["time"][0]), int(self.columns["available"][-1])

    @property
    def price_max(self) -> int:
        """Return the highest price in ticks: what bounds are proven with."""
        return int(self.columns[{"bars": "high", "quotes": "ask"}.get(self.kind, "price")].max())
