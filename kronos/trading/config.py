"""Everything that decides a run beside its bars and its strategy, and what follows from meeting them.

Rule: bounds, limits and splits are proven here, before the first row; what cannot be run exactly is refused.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from kronos.errors import InvalidInput
from kronos.kernel import canonical
from kronos.trading.bars import Bars, Split
from kronos.trading.instruments import Instrument, instrument
from kronos.trading.payments import Payment
from kronos.trading.reference import InstrumentConfig
from kronos.trading.risk import RiskLimits
from kronos.trading.session_config import (
    AccountConfig,
    ExecutionConfig,
    RouteConfig,
    SessionConfig,
    check_rules,
)
from kronos.trading.settling import settle
from kronos.trading.strategy import Strategy

__all__ = ["BacktestConfig", "identity_of", "instrument_of", "rows_of", "session_config_of"]


CASH_END: Final = Decimal(10) ** 18
"""Cash stays below this: beyond it no currency is meant, and figures would leave what a float can show."""


class BacktestConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one run.

    `lot` None takes the finest that keeps values exact; `splits` None takes those of the dataset; rows run from
    `first_row` to before `stop_row` (None: the last).  `position_max` None means no limit but that of exactness;
    without `long_only` the same limit holds for shorts.  `check_cash` compares a buy with the cash at the last
    close, so a gap at the next open can still overdraw it.

    `path` is the way prices took inside a bar (`path.FORWARD`), `slippage_bps` and `slippage_ticks` by how much market
    and stop fills are worse, `volume_share` the part of a bar's volume that our orders may take (None: any; 0.1 is a
    tenth).  `risk` are further limits; of two the narrower holds.  `method` is how cost leaves a position,
    `payments` are funding, borrow cost and dividends; `instrument` says more of what is traded (its id is the dataset's
    instrument; `currency`, `fee_rate` and `lot` are then its own).
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
    slippage_ticks: int = 0
    volume_share: Decimal | None = None
    risk: RiskLimits = RiskLimits()
    method: str = "average"
    instrument: InstrumentConfig | None = None
    payments: tuple[Payment, ...] = ()
    splits: tuple[Split, ...] | None = None
    first_row: int = 0
    stop_row: int | None = None
    execution_id: str = "backtest"
    route_id: str = "simulated"
    broker_id: str = "simulated"

    def __post_init__(self) -> None:
        """Refuse cash and fees that no account can have."""
        settle(self)
        if not (self.cash.is_finite() and 0 < self.cash < CASH_END):
            raise InvalidInput(
                f"cash {self.cash} must be positive and below {CASH_END:.0e}", field="cash", value=str(self.cash)
            )
        check_rules(self)
        if self.instrument is not None and self.instrument.currency != self.currency:
            raise InvalidInput(
                f"currency: {self.currency} is not that of {self.instrument.id}, {self.instrument.currency}",
                field="currency",
                value=self.currency,
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
    price_max = int(bars.high.max()) if bars.price_max is None else bars.price_max
    if config.instrument is not None:
        return config.instrument.prove(price_max)
    return instrument(
        symbol=bars.instrument,
        tick=bars.tick,
        price_max=price_max,
        lot=config.lot,
        currency=config.currency,
        fee_rate=config.fee_rate,
    )


def session_config_of(config: BacktestConfig) -> SessionConfig:
    """Return the settings of the session that a backtest is: one account, one route; what is raised ends it."""
    return SessionConfig(
        accounts=(AccountConfig(cash={config.currency: config.cash}, method=config.method),),
        executions=(ExecutionConfig(execution_id=config.execution_id, broker_id=config.broker_id),),
        routes=(RouteConfig(route_id=config.route_id, execution_id=config.execution_id),),
        instruments=() if config.instrument is None else (config.instrument,),
        payments=config.payments,
        currency=config.currency,
        fee_rate=config.fee_rate,
        lot=config.lot,
        long_only=config.long_only,
        position_max=config.position_max,
        check_cash=config.check_cash,
        path=config.path,
        slippage_bps=config.slippage_bps,
        slippage_ticks=config.slippage_ticks,
        volume_share=config.volume_share,
        risk=config.risk,
        splits=config.splits,
        first_row=config.first_row,
        stop_row=config.stop_row,
        isolate=False,
    )


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
