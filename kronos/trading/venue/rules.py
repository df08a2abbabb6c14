"""How rows fill orders: one value for bars, trades and books."""

from __future__ import annotations

from fractions import Fraction

import msgspec

__all__ = ["VenueRules"]


class VenueRules(msgspec.Struct, frozen=True, kw_only=True):
    """`path` of a bar, `slippage` (a fraction) and `slippage_ticks` of takers, and the share of a row's volume that our
    orders may take (None: any of a bar; of a trade never more than the trade).

    `prevents_self_trade`: the younger of two orders of one account that would meet is cancelled.  On trades and books
    the `queue` at a price: `averse` (what stood there is before us and only trades take it) or `probable` (what is
    cancelled there is taken from before us in proportion, remainders by `seed`).
    """

    path: str = "nearest"
    slippage: Fraction = Fraction(0)
    volume_share: Fraction | None = None
    slippage_ticks: int = 0
    queue: str = "averse"
    seed: int = 0
    prevents_self_trade: bool = True
