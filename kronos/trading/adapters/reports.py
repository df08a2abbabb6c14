"""What a venue says, in our words: one closed union of small frozen facts, as adapters hand them over.

Rule 1: a report has two times: `at` (ns UTC) at the venue, `known` (ns UTC) when it reached us; `number` counts a
        venue's reports upward, so that one that the wire brings twice is told once.
Rule 2: integers only: prices in ticks, quantities in lots (signed), money in 1e-8; whoever speaks floats is translated.
Rule 3: a report is no record: `reception` decides what it makes of our state, if anything.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from kronos.errors import DataError
from kronos.trading.terms import Terms

__all__ = [
    "Accepted", "Cancelled", "Disconnected", "Expired", "Filled", "Reconnected", "Refused", "Rejected", "Replaced",
    "Report", "Snapshot", "Triggered", "read_reports", "write_reports",
]  # fmt: skip


class _Report(msgspec.Struct, frozen=True, kw_only=True, tag_field="report", tag=str.lower, forbid_unknown_fields=True):
    number: int
    at: int
    known: int


class Accepted(_Report, frozen=True, kw_only=True):
    """The venue has the order."""

    order_id: int


class Rejected(_Report, frozen=True, kw_only=True):
    """The venue refused the order."""

    order_id: int
    reason: str


class Filled(_Report, frozen=True, kw_only=True):
    """One execution of `quantity` lots (signed) at `price` ticks for `fee` money."""

    order_id: int
    quantity: int
    price: int
    fee: int
    assumption: str = "reported"
    liquidity: str = ""


class Cancelled(_Report, frozen=True, kw_only=True):
    """The order is gone."""

    order_id: int
    reason: str = "requested"


class Expired(_Report, frozen=True, kw_only=True):
    """The order's time was over."""

    order_id: int
    reason: str = "GTD"


class Replaced(_Report, frozen=True, kw_only=True):
    """The order is on other terms."""

    order_id: int
    quantity: int
    terms: Terms


class Triggered(_Report, frozen=True, kw_only=True):
    """The order is worked from here on: `by` its stop price, or its parent's fill."""

    order_id: int
    by: str


class Refused(_Report, frozen=True, kw_only=True):
    """A cancel or a replace was refused: `command` says which."""

    order_id: int
    command: str
    reason: str


class Snapshot(_Report, frozen=True, kw_only=True):
    """All our orders that the venue has, as (id, whole lots, filled lots); `version` counts upward."""

    version: int
    orders: tuple[tuple[int, int, int], ...]


class Disconnected(_Report, frozen=True, kw_only=True):
    """The line is down: what the venue says is not heard."""

    reason: str


class Reconnected(_Report, frozen=True, kw_only=True):
    """The line is up again."""


Report: TypeAlias = (
    Accepted
    | Rejected
    | Filled
    | Cancelled
    | Expired
    | Replaced
    | Triggered
    | Refused
    | Snapshot
    | Disconnected
    | Reconnected
)

_decoder = msgspec.json.Decoder(Report)


def read_reports(lines: bytes, *, file: str = "reports") -> list[Report]:
    """Return the reports of JSON lines; raise `DataError` naming file, line and field of what is none."""
    found: list[Report] = []
    for at, line in enumerate(lines.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append(_decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{file}, line {at}: {error}", file=file, row=at) from None
        if found[-1].known < found[-1].at:
            raise DataError(
                f"{file}, line {at}: known {found[-1].known} lies before at {found[-1].at}: a report cannot be known "
                "before it happened; put both on one clock",
                file=file,
                row=at,
                field="known",
            )
    return found


def write_reports(reports: list[Report]) -> bytes:
    """Return reports as JSON lines, as `read_reports` takes them."""
    return b"".join(msgspec.json.encode(report) + b"\n" for report in reports)
