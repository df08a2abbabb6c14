"""What the rules compare with: as a person writes it, and in the integers of one instrument.

Rule 1: a limit that is not set costs nothing: its rule is never asked.
Rule 2: a limit that could never be kept exactly is refused when the run is built, with its field and value.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from kronos.errors import InvalidInput
from kronos.trading.accounts import RATE_SCALE
from kronos.trading.buckets import Rate
from kronos.trading.instruments import Instrument
from kronos.trading.marks import RiskMarks, new_marks
from kronos.trading.money import to_money, to_units
from kronos.trading.settling import settle

__all__ = ["DAY_NS", "Limits", "RiskLimits", "limits_of", "marks_of"]

DAY_NS: Final = 86_400_000_000_000


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one account; None is no limit.  Money is in the currency that the order's instrument settles in.

    `drawdown_max` is a share of the highest equity (0.2 is 20 %); `rolling_loss_max` money lost within
    `rolling_window_ns`; `price_band` how far a price may be from the last one, as a share; `notional_min` and
    `order_notional_max` money an order; `position_max` and `order_max` units of an instrument; `gross_notional_max`
    money of positions and open orders together; `quotes_max` resting orders an instrument, `quotes_gross_max` and
    `quotes_net_max` their money, added up and by sides set off; `order_rate` and `cancel_rate` a `Rate`;
    `snapshot_age_max_ns` how old the latest market data may be.  `check_post_only` denies what would take liquidity
    by the last price, where else the venue refuses it.
    """

    long_only: bool = False
    check_cash: bool = True
    check_post_only: bool = False
    drawdown_max: Decimal | None = None
    rolling_loss_max: Decimal | None = None
    rolling_window_ns: int = DAY_NS
    notional_min: Decimal | None = None
    price_band: Decimal | None = None
    position_max: Decimal | None = None
    order_max: Decimal | None = None
    order_notional_max: Decimal | None = None
    gross_notional_max: Decimal | None = None
    quotes_max: int | None = None
    quotes_gross_max: Decimal | None = None
    quotes_net_max: Decimal | None = None
    order_rate: Rate | None = None
    cancel_rate: Rate | None = None
    snapshot_age_max_ns: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are no limits."""
        settle(self, "risk.")
        for name in ("drawdown_max", "price_band"):
            _check(name, getattr(self, name), 1)
        for name in _AMOUNTS:
            _check(name, getattr(self, name), 10**18)
        for name in ("quotes_max", "snapshot_age_max_ns", "rolling_window_ns"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 2**62:
                raise InvalidInput(f"risk.{name}: {value} must be at least 1", field=f"risk.{name}", value=str(value))


_AMOUNTS: Final = (
    "rolling_loss_max", "notional_min", "position_max", "order_max", "order_notional_max", "gross_notional_max",
    "quotes_gross_max", "quotes_net_max",
)  # fmt: skip


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The same in lots, money (1e-8), shares (1e-8) and nanoseconds, for one instrument; 0 or None is no limit."""

    position_min: int
    position_max: int
    check_cash: bool
    check_post_only: bool = False
    drawdown_max: int | None = None
    rolling_loss_max: int | None = None
    notional_min: int = 0
    price_band: int | None = None
    order_max: int | None = None
    order_notional_max: int | None = None
    gross_notional_max: int | None = None
    quotes_max: int | None = None
    quotes_gross_max: int | None = None
    quotes_net_max: int | None = None
    order_rate: bool = False
    cancel_rate: bool = False
    snapshot_age_max_ns: int | None = None

    @property
    def remembers(self) -> bool:
        """Whether a rule needs `RiskMarks`."""
        return self.drawdown_max is not None or self.rolling_loss_max is not None or self.order_rate or self.cancel_rate


def limits_of(risk: RiskLimits, traded: Instrument) -> Limits:
    """Return the limits for one instrument; raise `InvalidInput` for a quantity off its lots or money finer than 1e-8.

    An instrument's own bound and its own least order count too: the narrower one holds.
    """
    position_max = traded.quantity_max
    if risk.position_max is not None:
        position_max = min(position_max, to_units(risk.position_max, traded.lot, field="risk.position_max"))
    return Limits(
        position_min=0 if risk.long_only else -position_max,
        position_max=position_max,
        check_cash=risk.check_cash,
        check_post_only=risk.check_post_only,
        drawdown_max=_share(risk, "drawdown_max"),
        rolling_loss_max=_money(risk, "rolling_loss_max"),
        notional_min=max(traded.notional_min, _money(risk, "notional_min") or 0),
        price_band=_share(risk, "price_band"),
        order_max=None if risk.order_max is None else to_units(risk.order_max, traded.lot, field="risk.order_max"),
        order_notional_max=_money(risk, "order_notional_max"),
        gross_notional_max=_money(risk, "gross_notional_max"),
        quotes_max=risk.quotes_max,
        quotes_gross_max=_money(risk, "quotes_gross_max"),
        quotes_net_max=_money(risk, "quotes_net_max"),
        order_rate=risk.order_rate is not None,
        cancel_rate=risk.cancel_rate is not None,
        snapshot_age_max_ns=risk.snapshot_age_max_ns,
    )


def marks_of(risk: RiskLimits, deposits: Mapping[str, int], *, row: int) -> RiskMarks | None:
    """Return the memory that these limits need of an account with `deposits` before `row`, or None."""
    loses = risk.rolling_loss_max is not None
    if risk.drawdown_max is None and not loses and risk.order_rate is None and risk.cancel_rate is None:
        return None
    window = risk.rolling_window_ns if loses else 0
    return new_marks(deposits, rows=row, window_ns=window, orders=risk.order_rate, cancels=risk.cancel_rate)


def _check(name: str, value: Decimal | None, end: int) -> None:
    if value is not None and not (value.is_finite() and 0 < value <= end):
        raise InvalidInput(
            f"risk.{name}: {value} is outside (0, {end}]; leave it out for no limit",
            field=f"risk.{name}",
            value=str(value),
        )


def _money(risk: RiskLimits, name: str) -> int | None:
    value = getattr(risk, name)
    return None if value is None else to_money(value, field=f"risk.{name}")


def _share(risk: RiskLimits, name: str) -> int | None:
    value = getattr(risk, name)
    return None if value is None else to_units(value, Decimal(1) / RATE_SCALE, field=f"risk.{name}")
