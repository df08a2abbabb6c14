"""Trades, orders, fills and events of a trading step, read off its journal.

Rule: nothing here is stored; tables are the ledger of the sealed segments, and a page of events is bounded.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kronos.debugger.machine_steps import TradingStep, TradingSteps
from kronos.errors import InvalidInput
from kronos.kernel.ids import RunId
from kronos.trading.events import Record, kind_of
from kronos.trading.instruments import Instrument
from kronos.trading.ledger import FillRow, Ledger, OrderRow, Trade, ledger_of
from kronos.trading.money import from_money
from kronos.trading.positions import position_of

__all__ = ["EVENTS_MAX", "EventRow", "Tables"]

EVENTS_MAX: Final = 10_000
"""Events of one page."""


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One record: `causes` are positions (row, sub), `facts` what it says, in units and money."""

    row: int
    sub: int
    time_ns: int
    kind: str
    strategy_id: str
    execution_id: str
    route_id: str
    broker_id: str
    snapshot: int
    causes: list[tuple[int, int]]
    facts: dict[str, Any]


class Tables:
    """The tables of trading steps; every method raises as `Machine.state_at` does for what is not there."""

    def __init__(self, steps: TradingSteps) -> None:
        self._steps = steps

    def ledger(self, run_id: RunId, step: str, *, attempt: int | None = None) -> Ledger:
        """Return the ledger of a step: trades, fills, orders, equity and drawdown."""
        return _ledger(self._steps.find(run_id, step, attempt))

    def trades(self, run_id: RunId, step: str, *, attempt: int | None = None) -> list[Trade]:
        """Return closed trades in the order of their exits, then open ones."""
        return self.ledger(run_id, step, attempt=attempt).trades()

    def orders(self, run_id: RunId, step: str, *, attempt: int | None = None) -> list[OrderRow]:
        """Return every order with what became of it, in the order of its id."""
        return self.ledger(run_id, step, attempt=attempt).orders()

    def fills(self, run_id: RunId, step: str, *, attempt: int | None = None) -> list[FillRow]:
        """Return every execution in order."""
        return self.ledger(run_id, step, attempt=attempt).fills()

    def events_between(
        self, run_id: RunId, step: str, row_from: int, row_to: int, *, attempt: int | None = None, limit: int = 1_000
    ) -> list[EventRow]:
        """Return the records of rows row_from..row_to, both included, in order, at most `limit`."""
        if not 1 <= limit <= EVENTS_MAX:
            raise InvalidInput(f"limit {limit} is outside 1..{EVENTS_MAX}", field="limit", value=limit)
        if row_from > row_to:
            raise InvalidInput(f"rows {row_from} to {row_to} are no range", field="row_from", value=row_from)
        found = self._steps.find(run_id, step, attempt)
        page = []
        for origin, record in found.journal.records(row_from, row_to):
            page.append(_event_row(found, record, msgspec.structs.asdict(origin)))
            if len(page) == limit:
                break
        return page


def _ledger(found: TradingStep) -> Ledger:
    return ledger_of(found.journal.datas(), found.pricing, first_row=found.first_row)


def _event_row(found: TradingStep, record: Record, origin: dict[str, Any]) -> EventRow:
    traded = _traded(found, record)
    facts = {
        name: _shown(name, getattr(record, name), traded) for name in record.__struct_fields__ if name not in _CARRIED
    }
    if traded is not None and len(found.instruments) > 1:
        facts["instrument"] = traded.symbol
    return EventRow(
        row=record.row,
        sub=record.sub,
        time_ns=found.pricing.happened(record.row),
        kind=kind_of(record),
        **origin,
        snapshot=record.snapshot,
        causes=[(at.row, at.sub) for at in map(position_of, record.causes)],
        facts=facts,
    )


def _traded(found: TradingStep, record: Record) -> Instrument | None:
    """Return the instrument that a record is about; None where it names none and there are several."""
    number = getattr(record, "instrument", 0 if len(found.instruments) == 1 else None)
    return found.instruments[number] if isinstance(number, int) and number >= 0 else None


def _shown(name: str, value: Any, traded: Instrument | None) -> Any:
    match name:
        case "quantity" if traded is not None:
            return traded.quantity(value)
        case "price" if traded is not None:
            return traded.price(value)
        case "fee" | "cash":
            return from_money(value)
        case _:
            return msgspec.to_builtins(value)


_CARRIED: Final = frozenset({"row", "sub", "origin", "snapshot", "causes", "instrument"})
