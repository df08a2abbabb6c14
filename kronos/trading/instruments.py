"""What is traded: the grid of its prices and quantities, and the bound that its integers stay within.

Rule 1: value = ticks · lots · `unit` exactly, or lots · `unit` / ticks for an inverse contract, rounded once per fill;
        a grid whose `unit` is no whole number of 1e-8 is refused.
Rule 2: price · quantity · multiplier < 2^62 is proven when an instrument meets its data, not hoped for later.
Rule 3: a fee is rounded once per fill, half up (away from zero), to 1e-8 of the currency.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from kronos.errors import InvalidInput
from kronos.trading.accounts import RATE_SCALE, Contract, value_of
from kronos.trading.money import MONEY_SCALE, plain_decimal, round_half_up, times, to_decimal, to_money, to_units

__all__ = ["BOUND", "Instrument", "finest_lot", "instrument"]

BOUND: Final = 2**62
"""No product of price, quantity and multiplier may reach it: half of what int64 holds, so that a sum of two fits."""


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One tradable thing; make it with `instrument`, which proves its bounds.

    `unit` is the money (1e-8) of one tick on one lot (of one lot at one tick, if `inverse`), `fee_numerator /
    fee_denominator` the taker's fee rate a side and `maker_*` the maker's (negative: a rebate), `notional_min` the
    least value of an order (1e-8), and `quantity_max` the lots whose value stays below 2^62 at `price_max` ticks.
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
    maker_numerator: int
    maker_denominator: int
    inverse: bool = False
    margined: bool = False
    initial: int = RATE_SCALE
    maintenance: int = 0
    notional_min: int = 0

    @property
    def contract(self) -> Contract:
        """Return what an account books fills with."""
        return Contract(
            unit=self.unit, currency=self.currency, inverse=self.inverse, margined=self.margined,
            initial=self.initial, maintenance=self.maintenance,
        )  # fmt: skip

    def value(self, price: int, quantity: int) -> int:
        """Return the money (1e-8) of `quantity` lots at `price` ticks; signed as `accounts.value_of` has it."""
        return value_of(self, price, quantity) if self.inverse else price * quantity * self.unit

    def fee(self, value: int, *, maker: bool = False) -> int:
        """Return the fee (1e-8; negative: a rebate) on a fill of `value`, rounded half up once."""
        if maker:
            return round_half_up(abs(value) * self.maker_numerator, self.maker_denominator)
        return round_half_up(abs(value) * self.fee_numerator, self.fee_denominator)

    def lots(self, quantity: Decimal | str | float) -> int:
        """Return `quantity` in lots; raise `InvalidInput` when it is off the lot grid."""
        if type(quantity) is int:
            return to_units(quantity, self.lot, field="quantity")
        return to_units(to_decimal(quantity, field="quantity"), self.lot, field="quantity")

    def price(self, ticks: int) -> Decimal:
        """Return `ticks` as a price."""
        return times(self.tick, ticks)

    def quantity(self, lots: int) -> Decimal:
        """Return `lots` as a quantity."""
        return times(self.lot, lots)


def finest_lot(tick: Decimal, multiplier: Decimal = Decimal(1)) -> Decimal:
    """Return the finest power of ten, at most 1, that keeps tick · lot · multiplier a multiple of 1e-8."""
    lot = Decimal(1)
    while lot > Decimal("0.00000001") and _whole(tick * lot / 10 * multiplier):
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
    maker_fee_rate: Decimal | None = None,
    multiplier: Decimal = Decimal(1),
    inverse: bool = False,
    margined: bool = False,
    leverage: Decimal = Decimal(1),
    maintenance_margin: Decimal = Decimal(0),
    notional_min: Decimal = Decimal(0),
) -> Instrument:
    """Return the instrument whose bounds hold for prices up to `price_max` ticks.

    `leverage` and `maintenance_margin` (a share of the value) are for margined contracts, which inverse ones always
    are.  Raises `InvalidInput` naming the field for a grid finer than 1e-8, a rate outside its range, or when no
    quantity fits the bound.
    """
    lot = (Decimal(1) if inverse else finest_lot(tick, multiplier)) if lot is None else lot
    for name, step in (("tick", tick), ("lot", lot), ("multiplier", multiplier)):
        if not (step.is_finite() and step > 0):
            raise InvalidInput(f"{symbol}: {name} {step} must be a positive number", field=name, value=str(step))
    unit = _unit(symbol, tick, lot, multiplier, currency, inverse=inverse)
    quantity_max = (BOUND - 1) // (unit if inverse else max(price_max, 1) * unit)
    if quantity_max < 1:
        raise InvalidInput(
            f"{symbol}: one lot of {lot} at {plain_decimal(tick * price_max)} exceeds the bound of 2^62 units: "
            "use a finer lot",
            field="lot",
            value=str(lot),
        )
    taker, maker = _fees(fee_rate, fee_rate if maker_fee_rate is None else maker_fee_rate)
    initial, maintenance = _margins(symbol, leverage, maintenance_margin, margined=margined or inverse)
    if not (notional_min.is_finite() and notional_min >= 0):
        raise InvalidInput(
            f"{symbol}: notional_min {notional_min} must be a number of at least 0",
            field="notional_min",
            value=str(notional_min),
        )
    return Instrument(
        symbol=symbol, currency=currency, tick=tick, lot=lot, unit=unit, fee_numerator=taker[0],
        fee_denominator=taker[1], maker_numerator=maker[0], maker_denominator=maker[1], price_max=price_max,
        quantity_max=quantity_max, inverse=inverse, margined=margined or inverse, initial=initial,
        maintenance=maintenance, notional_min=to_money(notional_min, field="notional_min"),
    )  # fmt: skip


def _unit(symbol: str, tick: Decimal, lot: Decimal, multiplier: Decimal, currency: str, *, inverse: bool) -> int:
    """Return the money of one tick on one lot; raise `InvalidInput` when that is not a whole number of 1e-8."""
    (face, per), (numerator, denominator) = (lot * multiplier).as_integer_ratio(), tick.as_integer_ratio()
    if inverse:
        unit, rest = divmod(face * denominator * MONEY_SCALE, per * numerator)
    else:
        unit, rest = divmod(face * numerator * MONEY_SCALE, per * denominator)
    if rest or not unit:
        by = f"lot {lot} / tick {tick}" if inverse else f"tick {tick} × lot {lot}"
        by += "" if multiplier == 1 else f" × multiplier {multiplier}"
        hint = "" if inverse else f"; the finest lot that keeps values exact is {finest_lot(tick, multiplier)}"
        raise InvalidInput(
            f"{symbol}: {by} is {'no multiple of' if inverse else 'finer than'} 1e-8 {currency}{hint}",
            field="lot",
            value=str(lot),
        )
    return unit


def _fees(taker: Decimal, maker: Decimal) -> tuple[tuple[int, int], tuple[int, int]]:
    if not (taker.is_finite() and 0 <= taker < 1):
        raise InvalidInput(f"fee_rate: {taker} is outside [0, 1)", field="fee_rate", value=str(taker))
    if not (maker.is_finite() and -taker <= maker < 1):
        raise InvalidInput(
            f"maker_fee_rate: {maker} is outside [-fee_rate, 1): a rebate is never more than the taker pays",
            field="maker_fee_rate",
            value=str(maker),
        )
    return taker.as_integer_ratio(), maker.as_integer_ratio()


def _margins(symbol: str, leverage: Decimal, maintenance: Decimal, *, margined: bool) -> tuple[int, int]:
    """Return the initial and the maintenance share in 1e-8, rounded up."""
    if not (leverage.is_finite() and 1 <= leverage <= 1_000) or (leverage > 1 and not margined):
        raise InvalidInput(
            f"{symbol}: leverage {leverage} must be within 1 to 1000, and 1 unless the contract is margined",
            field="leverage",
            value=str(leverage),
        )
    numerator, denominator = leverage.as_integer_ratio()
    initial = -(-RATE_SCALE * denominator // numerator)
    if not (maintenance.is_finite() and 0 <= maintenance * RATE_SCALE <= initial):
        raise InvalidInput(
            f"{symbol}: maintenance_margin {maintenance} must be within 0 and the initial margin, 1 / {leverage}",
            field="maintenance_margin",
            value=str(maintenance),
        )
    top, bottom = maintenance.as_integer_ratio()
    return initial, -(-RATE_SCALE * top // bottom)


def _whole(value: Decimal) -> bool:
    """Return whether `value` is a positive multiple of 1e-8."""
    numerator, denominator = (value * MONEY_SCALE).as_integer_ratio()
    return denominator == 1 and numerator > 0
