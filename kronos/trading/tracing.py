"""From money back to the market: a trade, its fills, their orders, the decision, the intent, and the event it saw.

Rule 1: every step is a cause that a record names; nothing is inferred from ids, times or prices.
Rule 2: the walk ends at market events (sub 0), which no record causes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kronos.errors import CorruptHistory, NotFound
from kronos.trading.events import Record, kind_of
from kronos.trading.ledger import Ledger, Trade
from kronos.trading.positions import Position, position_of

__all__ = ["Link", "TradeOrigin", "causes_of", "trace_trade"]


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in the chain: `depth` 0 is what was asked about; `record` is None for a market event."""

    depth: int
    position: Position
    kind: str
    record: Record | None
    causes: tuple[Position, ...]


class TradeOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """A trade's profit and where it came from: its entry's chain, and its exit's where it has one."""

    trade: Trade
    entry: list[Link]
    exit: list[Link]


def causes_of(records: Sequence[Record], position: Position) -> list[Link]:
    """Return what stands at `position` and everything that led to it, nearest first; each position once.

    Raises `NotFound` when no record stands there, `CorruptHistory` for a cause that is not in the journal.
    """
    known = {Position(record.row, record.sub): record for record in records}
    if position not in known:
        raise NotFound(f"no record stands at row {position.row}, sub {position.sub}", row=position.row)
    found: dict[Position, Link] = {}
    front, depth = [position], 0
    while front:
        behind: list[Position] = []
        for at in front:
            if at in found:
                continue
            link = _link(known, at, depth)
            found[at] = link
            behind += link.causes
        front, depth = behind, depth + 1
    return list(found.values())


def trace_trade(ledger: Ledger, number: int) -> TradeOrigin:
    """Return a trade (numbered from 1, as in `Ledger.trades`) with the chains of its entry and its exit."""
    trades = ledger.trades()
    if not 1 <= number <= len(trades):
        raise NotFound(f"there is no trade {number}: the run has {len(trades)}", field="trade", value=number)
    trade = trades[number - 1]
    ends = [(trade.entry_order_id, trade.entry_row), (trade.exit_order_id, trade.exit_row)]
    entry, exit_ = ([] if row is None else _chain(ledger, order, row) for order, row in ends)
    return TradeOrigin(trade=trade, entry=entry, exit=exit_)


def _chain(ledger: Ledger, order_id: int | None, row: int) -> list[Link]:
    fill = next(fill for fill in ledger.fills() if fill.order_id == order_id and fill.row == row)
    return causes_of(ledger.records, Position(fill.row, fill.sub))


def _link(known: dict[Position, Record], at: Position, depth: int) -> Link:
    if at.sub == 0:
        return Link(depth=depth, position=at, kind="market_event", record=None, causes=())
    record = known.get(at)
    if record is None:
        raise CorruptHistory(f"a record names row {at.row}, sub {at.sub} as its cause, which is not in the journal")
    return Link(
        depth=depth,
        position=at,
        kind=kind_of(record),
        record=record,
        causes=tuple(map(position_of, record.causes)),
    )
