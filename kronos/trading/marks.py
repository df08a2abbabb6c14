"""What risk remembers of an account beside its money: the highest equity, recent results, how often it asked.

Rule: it is part of the core state and moves by `RiskMarked` records alone; an account without such limits has none.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kronos.trading.accounts import Account, Contract
from kronos.trading.buckets import Bucket, Rate, open_bucket, take
from kronos.trading.events import RiskMarked

__all__ = ["RiskMarks", "booked", "mark", "new_marks", "rolling_result"]


class RiskMarks(msgspec.Struct, kw_only=True):
    """`peaks` is the highest equity by currency (1e-8) over the first `rows` closes, `booked` all that was realised;
    `results` are [time (ns UTC), money] of what the last `window_ns` realised, net of fees; `orders` and `cancels`
    meter requests (None: no limit).
    """

    peaks: dict[str, int] = {}
    booked: dict[str, int] = {}
    rows: int = 0
    window_ns: int = 0
    results: list[tuple[int, int]] = []
    orders: Bucket | None = None
    cancels: Bucket | None = None


def new_marks(
    deposits: Mapping[str, int], *, rows: int, window_ns: int, orders: Rate | None, cancels: Rate | None
) -> RiskMarks:
    """Return the memory of an account that holds `deposits` before row `rows` and did nothing yet."""
    return RiskMarks(
        peaks=dict(deposits),
        rows=rows,
        window_ns=window_ns,
        orders=None if orders is None else open_bucket(orders),
        cancels=None if cancels is None else open_bucket(cancels),
    )


def booked(account: Account, contracts: Mapping[int, Contract], currency: str) -> int:
    """Return what an account has realised in `currency` so far, net of fees, with funding, borrow and dividends."""
    return sum(
        holding.realised - holding.fees + holding.income
        for instrument, holding in account.holdings.items()
        if contracts[instrument].currency == currency
    )


def mark(marks: RiskMarks, record: RiskMarked) -> None:
    """Remember a peak, a result and one request (`order`, `cancel` or none); forget what has left the window."""
    at, currency = record.at, record.currency
    marks.rows = record.rows
    marks.peaks[currency] = record.peak
    result = record.booked - marks.booked.get(currency, 0)
    marks.booked[currency] = record.booked
    if marks.window_ns:
        marks.results[:] = [entry for entry in marks.results if entry[0] > at - marks.window_ns]
        if result:
            marks.results.append((at, result))
    bucket = {"order": marks.orders, "cancel": marks.cancels}.get(record.request)
    if bucket is not None:
        take(bucket, at)


def rolling_result(marks: RiskMarks, now: int) -> int:
    """Return what was realised in the window that ends at `now` (ns UTC), net of fees (1e-8)."""
    return sum(amount for at, amount in marks.results if at > now - marks.window_ns)
