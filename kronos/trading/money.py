"""Exact numbers: money is a Python int in 1e-8 of its currency, everything else is an integer of ticks or lots.

Rule 1: a `Decimal` enters or leaves only here; a float never does arithmetic on money.
Rule 2: what cannot be expressed exactly is refused, never rounded; the one rounding (fees) says its rule.
Rule 3: a number is bounded before an integer is made of it: no text or exponent costs more than it is long.
"""

from __future__ import annotations

from decimal import Context, Decimal, DecimalException, Inexact, Overflow, Subnormal, Underflow
from operator import index
from typing import Final, SupportsIndex

import numpy as np

from kronos.errors import InvalidInput
from kronos.trading.words import text_of, told

__all__ = ["MONEY_SCALE", "from_money", "round_half_up", "times", "to_decimal", "to_money", "to_units"]

MONEY_SCALE: Final = 10**8
"""Units of money in one unit of its currency."""


def to_decimal(value: Decimal | str | float | SupportsIndex, *, field: str) -> Decimal:
    """Return `value` as a finite Decimal; a float is read as its shortest text (0.1 is 1/10).

    Raises `InvalidInput` naming `field` for NaN, infinities, booleans, text that is no number in ASCII, and numbers of
    more than 400 digits or beyond 1e±400.
    """
    try:
        number = _number(value)
    except Exception:  # `__index__` is its author's code: whatever it raises, the value is no number
        raise _refused(value, field, "is not a number") from None
    if not number.is_finite():
        raise _refused(value, field, "is not a finite number")
    try:
        bounded = _BOUNDED.plus(number)
    except DecimalException:
        raise _refused(value, field, f"has more than {_DIGITS_MAX} digits") from None
    return number or bounded


def _number(value: Decimal | str | float | SupportsIndex) -> Decimal:
    if isinstance(value, float):
        return Decimal(float.__repr__(value))
    if isinstance(value, Decimal):
        return Decimal(value)
    if isinstance(value, str) and str.isascii(value):
        return Decimal(value)
    if isinstance(value, str | bool | np.bool_):
        raise TypeError
    whole = index(value)
    return Decimal(whole if whole.bit_length() <= _BITS_MAX else _TOO_LARGE)


def _refused(value: object, field: str, why: str) -> InvalidInput:
    return InvalidInput(f"{field}: {told(value)} {why}", field=field, value=told(value))


def to_units(value: Decimal | int, step: Decimal, *, field: str) -> int:
    """Return how many `step` make `value`; raise `InvalidInput` when it is not a whole number of them."""
    numerator, denominator = value.as_integer_ratio()
    step_numerator, step_denominator = step.as_integer_ratio()
    units, remainder = divmod(numerator * step_denominator, denominator * step_numerator)
    if remainder:
        raise InvalidInput(f"{field}: {text_of(value)} is not a multiple of {step}", field=field, value=text_of(value))
    return units


def to_money(value: Decimal | str | float, *, field: str = "amount") -> int:
    """Return `value` of a currency in units of 1e-8; raise `InvalidInput` for a finer amount."""
    return to_units(to_decimal(value, field=field), _MONEY_STEP, field=field)


def from_money(units: int) -> Decimal:
    """Return `units` of 1e-8 as an exact Decimal of the currency, without trailing zeros."""
    return plain_decimal(Decimal(f"{units}e-8"))


def times(step: Decimal, count: int) -> Decimal:
    """Return `count` steps as an exact Decimal, whatever precision the user's own decimal context has."""
    return plain_decimal(_EXACT.multiply(step, count))


def plain_decimal(value: Decimal) -> Decimal:
    """Return `value` without trailing zeros and without an exponent (100, not 1E+2)."""
    if not value:
        return Decimal(0)
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int), "finite by construction"
    while exponent < 0 and digits[-1] == 0:
        digits, exponent = digits[:-1], exponent + 1
    if exponent > 0:
        digits, exponent = digits + (0,) * exponent, 0
    return Decimal((sign, digits, exponent))


def round_half_up(numerator: int, denominator: int) -> int:
    """Return numerator / denominator as the nearest integer, halves away from zero; `denominator` > 0."""
    quotient, remainder = divmod(abs(numerator), denominator)
    quotient += 2 * remainder >= denominator
    return quotient if numerator >= 0 else -quotient


_MONEY_STEP: Final = Decimal("0.00000001")
_EXACT: Final = Context(prec=100)
_DIGITS_MAX: Final = 400
_BITS_MAX: Final = 1_320
"""Less than 400 digits have."""
_BOUNDED: Final = Context(
    prec=_DIGITS_MAX, Emin=-_DIGITS_MAX, Emax=_DIGITS_MAX, traps=[Inexact, Overflow, Underflow, Subnormal]
)
"""Refuses what has more digits or a larger exponent in one step, before any power of ten is made."""
_TOO_LARGE: Final = f"1e{2 * _DIGITS_MAX}"
