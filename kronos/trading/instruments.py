"""What is traded: the grid of its prices and quantities, and the bound that its integers stay within.

Rule 1: value = ticks · lots · `unit`, exactly; a tick and a lot whose product is finer than 1e-8 are refused.
Rule 2: price · quantity · multiplier < 2^62 is proven when an instrument meets its data, not hoped for later.
Rule 3: a fee is rounded once per fill, half up (away from zero), to 1e-8 of the currency.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from kronos.errors import InvalidInput
from kronos.trading.money import MONEY_SCALE, round_half_up, times, to_decimal, to_units

__all__ = ["BOUND", "Instrument", "finest_lot", "instrument"]

BOUND: Final = 2**62
"""No product of price, quantity and multiplier may reach it: half of what int64 holds, so that a sum of two fits."""


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One tradable thing; make it with `instrument`, which proves its bounds.

    `unit` is the money (1e-8) of one tick on one lot, `fee_numerator / fee_denominator` the fee rate a side, and
    `quantity_max` the lots whose value stays below 2^62 at `price_max` ticks.
    """

    symbol: str
    currency: str
    tick: Decimal
    lot: Decimal
    unit: int
    fee_numerator: int
    fee_denominator: int
    price_max: int
    quantity_max: int

    def value(self, price: int, quantity: int) -> int:
        """Return the money (1e-8) of `quantity` lots at `price` ticks; signed like `quantity`."""
        return price * quantity * self.unit

    def fee(self, value: int) -> int:
        """Return the fee (1e-8, never negative) on a fill of `value`, rounded half up once."""
        return round_half_up(abs(value) * self.fee_numerator, self.fee_denominator)

    def lots(self, quantity: Decimal | str | float) -> int:
        """Return `quantity` in lots; raise `InvalidInput` when it is off the lot grid."""
        return to_units(to_decimal(quantity, field="quantity"), self.lot, field="quantity")

    def price(self, ticks: int) -> Decimal:
        """Return `ticks` as a price."""
        return times(self.tick, ticks)

    def quantity(self, lots: int) -> Decimal:
        """Return `lots` as a quantity."""
        return times(self.lot, lots)


def finest_lot(tick: Decimal) -> Decimal:
    """Return the finest power of ten, at most 1, that keeps tick · lot a multiple of 1e-8."""
    lot = Decimal(1)
    while lot > Decimal("0.00000001") and _unit(tick, lot / 10):
        lot /= 10
    return lot


def instrument(
    *,
    symbol: str,
    tick: Decimal,
    price_max: int,
    lot: Decimal | None = None,
    currency: str = "USD",
    fee_rate: Decimal = Decimal(0),
) -> Instrument:
    """Return the instrument whose bounds hold for prices up to `price_max` ticks.

    Raises `InvalidInput` when tick · lot is finer than 1e-8, a rate is outside [0, 1), or no quantity fits the bound.
    """
    lot = finest_lot(tick) if lot is None else lot
    if tick <= 0 or lot <= 0:
        raise InvalidInput(f"{symbol}: tick {tick} and lot {lot} must be positive", field="lot", value=str(lot))
    unit = _unit(tick, lot)
    if not unit:
        raise InvalidInput(
            f"{symbol}: tick {tick} × lot {lot} is finer than 1e-8 {currency}; "
            f"the finest lot that keeps values exact is {finest_lot(tick)}",
            field="lot",
            value=str(lot),
        )
    if not 0 <= fee_rate < 1:
        raise InvalidInput(f"fee_rate: {fee_rate} is outside [0, 1)", field="fee_rate", value=str(fee_rate))
    quantity_max = (BOUND - 1) // (max(price_max, 1) * unit)
    if quantity_max < 1:
        raise InvalidInput(
            f"{symbol}: one lot of {lot} at {tick * price_max} exceeds the bound of 2^62 units: use a finer lot",
            field="lot",
            value=str(lot),
        )
    numerator, denominator = fee_rate.as_integer_ratio()
    return Instrument(
        symbol=symbol, currency=currency, tick=tick, lot=lot, unit=unit, fee_numerator=numerator,
        fee_denominator=denominator, price_max=price_max, quantity_max=quantity_max,
    )  # fmt: skip


def _unit(tick: Decimal, lot: Decimal) -> int:
    """Return tick · lot in money units, or 0 when that is not a whole number."""
    numerator, denominator = (tick * lot * MONEY_SCALE).as_integer_ratio()
    return numerator if denominator == 1 else 0
