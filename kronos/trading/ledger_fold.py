"""A journal as changes of cash and lots, each with whose it was.

Rule 1: changes add up: over the strategies to the accounts, and over the accounts to the run, to the last unit.
Rule 2: what an account as a whole pays, receives or holds after a split is shared among its strategies by the lots of
        each, in their order, by the sums up to each: no fraction is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kronos.trading.events import BorrowCharged, DividendPaid, FundingPaid, OrderFilled, Record, SplitApplied
from kronos.trading.instruments import Instrument
from kronos.trading.splits import split_lots

__all__ = ["Change", "changes_of", "part_of"]


class Change(NamedTuple):
    """From `row` on: `cash` money (1e-8) and `lots` more of instrument `number`, of who has `origin`; `carry` is what
    holding paid or received.
    """

    row: int
    origin: int
    number: int
    cash: int
    lots: int
    carry: bool = False


def changes_of(records: Sequence[Record], traded: Sequence[Instrument], owners: Sequence[int]) -> Iterator[Change]:
    """Yield the changes of a journal; `owners` are the accounts of its origins."""
    held: dict[tuple[int, int], int] = {}
    for record in records:
        if isinstance(record, OrderFilled):
            number, origin = record.instrument, record.origin
            value = traded[number].value(record.price, record.quantity)
            held[number, origin] = held.get((number, origin), 0) + record.quantity
            yield Change(record.row, origin, number, -value - record.fee, record.quantity)
        elif isinstance(record, SplitApplied):
            yield from _split(record, held, owners)
        elif isinstance(record, FundingPaid | BorrowCharged | DividendPaid):
            yield from _paid(record, held, owners)


def _split(record: SplitApplied, held: dict[tuple[int, int], int], owners: Sequence[int]) -> Iterator[Change]:
    """Share a split of one account's lots; the fraction's cash is that of the last who holds any."""
    account, before, after = owners[record.origin], 0, 0
    found: list[Change] = []
    for origin in _holders(record.instrument, account, held, owners):
        lots = held[record.instrument, origin]
        before += lots
        upto, _ = split_lots(before, record.numerator, record.denominator)
        held[record.instrument, origin] = upto - after
        found.append(Change(record.row, origin, record.instrument, 0, upto - after - lots))
        after = upto
    if record.cash and not found:
        found = [Change(record.row, record.origin, record.instrument, 0, 0)]
    yield from found[:-1]
    if found:
        yield found[-1]._replace(cash=record.cash)


def _paid(
    record: FundingPaid | BorrowCharged | DividendPaid, held: dict[tuple[int, int], int], owners: Sequence[int]
) -> Iterator[Change]:
    holders = _holders(record.instrument, record.account, held, owners)
    whole = sum(held[record.instrument, origin] for origin in holders)
    before = shared = 0
    if not whole:  # an account pays for what it holds: this is one that was not traded in this journal
        yield Change(record.row, owners.index(record.account), record.instrument, record.amount, 0, carry=True)
        return
    for origin in holders:
        before += held[record.instrument, origin]
        upto = part_of(record.amount, before, whole)
        yield Change(record.row, origin, record.instrument, upto - shared, 0, carry=True)
        shared = upto


def _holders(number: int, account: int, held: dict[tuple[int, int], int], owners: Sequence[int]) -> list[int]:
    return [origin for origin in range(len(owners)) if owners[origin] == account and held.get((number, origin))]


def part_of(amount: int, part: int, whole: int) -> int:
    """Return the share `part` / `whole` of an amount, toward zero."""
    share = abs(amount) * abs(part) // abs(whole)
    return share if (amount >= 0) == (part * whole >= 0) else -share
