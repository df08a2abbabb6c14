"""Sessions of several streams on record: accounts, positions and open orders before any row of the merged timeline.

Rule 1: what is shown is folded from the journal; no user code runs, so no strategy's variables are among it.
Rule 2: prices are the last ones known before the row, from the datasets.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from kronos.debugger.machine_journal import Journal
from kronos.debugger.machine_steps import TradingSteps
from kronos.errors import InvalidInput
from kronos.kernel import canonical
from kronos.kernel.ids import RunId
from kronos.market.catalog import Catalog
from kronos.market.dataset import Dataset
from kronos.market.session_plans import SessionPlan
from kronos.ports import Blobs
from kronos.trading.building import instruments_of, range_of
from kronos.trading.coordinator import Coordinator
from kronos.trading.results import OrderView, Portfolio, open_orders, whole_portfolio
from kronos.trading.state import TradingState
from kronos.trading.streams import on_time
from kronos.trading.timeline import Timeline

__all__ = ["SessionView", "Sessions"]


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session before `row`; `positions` by account (its place in the settings) and instrument."""

    run_id: RunId
    step: str
    attempt: int
    row: int
    first_row: int
    last_row: int
    time_ns: int | None
    records: int
    trading_enabled: bool
    portfolio: Portfolio
    positions: dict[str, dict[str, Decimal]]
    open_orders: list[OrderView]


class Sessions:
    """Answers for session steps; it raises as `Machine.core_at` does."""

    def __init__(self, steps: TradingSteps, blobs: Blobs, catalog: Catalog) -> None:
        self._steps, self._blobs, self._catalog = steps, blobs, catalog

    def holds(self, run_id: RunId, step: str) -> bool:
        """Return whether `step` is a session; False where there is no such step."""
        found = self._steps.ended(run_id, step)
        return found is not None and _given(found.arguments) is not None

    def state_at(self, run_id: RunId, step: str, row: int) -> SessionView:
        """Return what stood before `row`; raise `InvalidInput` naming the range for a row outside it."""
        found = self._steps.ended(run_id, step)
        given = None if found is None else _given(found.arguments)
        if found is None or given is None:
            raise InvalidInput(f"step {step!r} of run {run_id} is no session", field="step", value=step)
        datasets, plan = given
        streams, _ = on_time([self._catalog.stream(each) for each in datasets], plan.config.late)
        timeline = Timeline(streams, feed_ns=plan.config.latency.feed_ns)
        first, _ = range_of(timeline, plan.config)
        journal = Journal(found.refs, self._blobs)
        last = first if journal.end_row is None else journal.end_row
        if not first <= row <= last:
            raise InvalidInput(
                f"row {row} is outside the rows of step {step!r}: {first} to {last}", field="row", value=row
            )
        state = journal.state_before(row)
        traded = instruments_of(streams, plan.config)
        coordinator = Coordinator(streams, timeline, {name: n for n, name in enumerate(traded)}, list(traded.values()))
        coordinator.stand(row)
        prices = [coordinator.price(number) for number in range(len(traded))]
        currency = next(iter(plan.config.accounts[0].cash))
        return SessionView(
            run_id=run_id,
            step=step,
            attempt=found.attempt,
            row=row,
            first_row=first,
            last_row=last,
            time_ns=timeline.time(row - 1) if row else None,
            records=state.records,
            trading_enabled=state.trading_enabled,
            portfolio=whole_portfolio(state, list(traded.values()), prices, currency),
            positions=_positions(state, plan, traded),
            open_orders=open_orders(state, list(traded.values())),
        )


def _positions(state: TradingState, plan: SessionPlan, traded: dict[str, Any]) -> dict[str, dict[str, Decimal]]:
    names = list(traded)
    return {
        config.id: {
            names[number]: traded[names[number]].quantity(holding.quantity)
            for number, holding in account.holdings.items()
        }
        for config, account in zip(plan.config.accounts, state.accounts, strict=True)
    }


def _given(data: bytes) -> tuple[list[Dataset], SessionPlan] | None:
    """Return the datasets and the plan among a step's arguments, None where they are not those of a session."""
    try:
        arguments = canonical.decode(data, _Arguments)
    except InvalidInput:
        return None
    return arguments.streams, arguments.plan


class _Arguments(msgspec.Struct, frozen=True):
    streams: list[Dataset]
    plan: SessionPlan
