"""Everything that decides a run beside its bars and its strategy, and what follows from meeting them.

Rule: bounds, limits and splits are proven here, before the first row; what cannot be run exactly is refused.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from kronos.errors import InvalidInput
from kronos.kernel import canonical
from kronos.trading.bars import Bars, Split
from kronos.trading.instruments import Instrument, instrument
from kronos.trading.money import to_decimal, to_units
from kronos.trading.risk import Limits, RiskLimits
from kronos.trading.risk.limits import limits_of as risk_limits_of
from kronos.trading.strategy import Strategy
from kronos.trading.venue import VenueRules
from kronos.trading.venue.path import FORWARD

__all__ = ["BacktestConfig", "identity_of", "instrument_of", "limits_of", "rows_of", "splits_of", "venue_rules_of"]


CASH_END: Final = Decimal(10) ** 18
"""Cash stays below this: beyond it no currency is meant, and figures would leave what a float can show."""


class BacktestConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one run.

    `lot` None takes the finest that keeps values exact; `splits` None takes those of the dataset; rows run from
    `first_row` to before `stop_row` (None: the last).  `position_max` None means no limit but that of exactness;
    without `long_only` the same limit holds for shorts.  `check_cash` compares a buy with the cash at the last
    close, so a gap at the next open can still overdraw it.

    `path` is the way prices took inside a bar (`path.FORWARD`), `slippage_bps` by how much market and stop fills are
    worse, `volume_share` the part of a bar's volume that our orders may take (None: any; 0.1 is a tenth).  `risk` are
    further limits; of two for one thing the narrower holds.
    """

    cash: Decimal = Decimal(1_000_000)
    currency: str = "USD"
    fee_rate: Decimal = Decimal(0)
    lot: Decimal | None = None
    long_only: bool = True
    position_max: Decimal | None = None
    check_cash: bool = True
    path: str = "nearest"
    slippage_bps: Decimal = Decimal(0)
    volume_share: Decimal | None = None
    risk: RiskLimits = RiskLimits()
    splits: tuple[Split, ...] | None = None
    first_row: int = 0
    stop_row: int | None = None
    execution_id: str = "backtest"
    route_id: str = "simulated"
    broker_id: str = "simulated"

    def __post_init__(self) -> None:
        """Refuse cash and fees that no account can have."""
        if not (self.cash.is_finite() and 0 < self.cash < CASH_END):
            raise InvalidInput(
                f"cash {self.cash} must be positive and below {CASH_END:.0e}", field="cash", value=str(self.cash)
            )
        if not (self.fee_rate.is_finite() and 0 <= self.fee_rate < 1):
            raise InvalidInput(
                f"fee_rate: {self.fee_rate} is outside [0, 1): 0.001 is 0.1 %",
                field="fee_rate",
                value=str(self.fee_rate),
            )
        if self.path not in FORWARD:
            raise InvalidInput(f"path: {self.path!r} is none of {', '.join(FORWARD)}", field="path", value=self.path)
        if not (self.slippage_bps.is_finite() and 0 <= self.slippage_bps < 10_000):
            raise InvalidInput(
                f"slippage_bps: {self.slippage_bps} is outside [0, 10000): 5 is 0.05 %",
                field="slippage_bps",
                value=str(self.slippage_bps),
            )
        if self.volume_share is not None and not (self.volume_share.is_finite() and 0 < self.volume_share <= 1):
            raise InvalidInput(
                f"volume_share: {self.volume_share} is outside (0, 1]: 0.1 is a tenth of a bar's volume",
                field="volume_share",
                value=str(self.volume_share),
            )


def rows_of(bars: Bars, config: BacktestConfig) -> tuple[int, int]:
    """Return the first row and the row before which a run ends; raise `InvalidInput` when they are no range."""
    stop = bars.rows if config.stop_row is None else config.stop_row
    if not 0 <= config.first_row < stop <= bars.rows:
        raise InvalidInput(
            f"rows {config.first_row} to {stop} are not a range of the dataset's {bars.rows} rows",
            field="first_row",
            value=str(config.first_row),
        )
    return config.first_row, stop


def instrument_of(bars: Bars, config: BacktestConfig) -> Instrument:
    """Return the instrument with its bounds proven for these bars; raise `InvalidInput` where they cannot be."""
    return instrument(
        symbol=bars.instrument,
        tick=bars.tick,
        price_max=int(bars.high.max()) if bars.price_max is None else bars.price_max,
        lot=config.lot,
        currency=config.currency,
        fee_rate=to_decimal(config.fee_rate, field="fee_rate"),
    )


def limits_of(traded: Instrument, config: BacktestConfig) -> Limits:
    """Return the limits in lots; raise `InvalidInput` for a limit off the lot grid."""
    limits = risk_limits_of(config.risk, traded)
    position_max = limits.position_max
    if config.position_max is not None:
        position_max = min(position_max, to_units(config.position_max, traded.lot, field="position_max"))
    return msgspec.structs.replace(
        limits,
        position_min=0 if config.long_only or config.risk.long_only else -position_max,
        position_max=position_max,
        check_cash=config.check_cash and config.risk.check_cash,
    )


def venue_rules_of(config: BacktestConfig) -> VenueRules:
    """Return how bars fill orders, in exact fractions."""
    share = config.volume_share
    return VenueRules(
        path=config.path,
        slippage=Fraction(config.slippage_bps) / 10_000,
        volume_share=None if share is None else Fraction(share),
    )


def splits_of(bars: Bars, config: BacktestConfig) -> dict[int, Split]:
    """Return the splits by ascending row; raise `InvalidInput` for an impossible ratio or two at one row."""
    found: dict[int, Split] = {}
    for split in bars.splits if config.splits is None else config.splits:
        if split.numerator < 1 or split.denominator < 1 or split.row in found:
            raise InvalidInput(f"split at row {split.row}: needs a positive ratio, once a row", field="splits")
        found[split.row] = split
    return {row: found[row] for row in sorted(found)}


def identity_of(bars: Bars, strategy: Strategy, config: BacktestConfig) -> bytes:
    """Return the canonical bytes that two runs share when they are the same run: what a manifest hashes."""
    return canonical.encode(
        {
            "dataset": bars.dataset,
            "strategy": f"{type(strategy).__module__}:{type(strategy).__qualname__}",
            "params": strategy.params,
            "config": config,
        }
    )
