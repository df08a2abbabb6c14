"""What a split makes of lots and money.

Rule: a split changes resting orders before that row's open, as it changes what is held.
"""

from __future__ import annotations

__all__ = ["split_cash", "split_lots"]


def split_lots(lots: int, numerator: int, denominator: int) -> tuple[int, int]:
    """Return signed `lots` after a split, rounded toward zero, and the remainder in 1/denominator lots."""
    whole, rest = divmod(abs(lots) * numerator, denominator)
    return (whole, rest) if lots >= 0 else (-whole, -rest)


def split_cash(remainder: int, numerator: int, price: int, unit: int) -> int:
    """Return the money paid for a fraction of a lot at the last close `price` before the split, toward zero.

    `remainder` is in 1/denominator of a new lot, which is remainder / numerator of an old one.
    """
    amount = abs(remainder) * price * unit // numerator
    return amount if remainder >= 0 else -amount
