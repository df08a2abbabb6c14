"""The time machine: what stood at any row of a trading step.

Rule 1: decisions and money are folded from the record, without user code; the strategy's variables are re-executed
        from the nearest checkpoint, by the code that was captured with the run, in a process of its own.
Rule 2: a re-execution is held against the record: the core state at the row, byte for byte, and every head of a block
        on the way.  What differs is named, and the record is what is shown.
Rule 3: every part of an answer says whether it was *recorded* or *recomputed*.
Rule 4: a checkpoint that is gone, foreign or unusable costs time, never truth, and the answer says so.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from kronos.debugger import host_wire as wire
from kronos.debugger.machine_code import captured_modules, materialise
from kronos.debugger.machine_hosts import Hosts
from kronos.debugger.machine_steps import TradingStep, TradingSteps
from kronos.debugger.machine_tables import Tables
from kronos.debugger.machine_verify import verify
from kronos.debugger.machine_views import CoreView, Label, RunCode, StepView, bar_view
from kronos.errors import CorruptHistory, NotFound
from kronos.kernel import canonical
from kronos.kernel.ids import RunId, StepName
from kronos.market.catalog import Catalog
from kronos.market.dataset import Dataset
from kronos.market.plans import BacktestPlan
from kronos.market.session_plans import SessionPlan
from kronos.ports import Blobs, DatasetRow, Recordings
from kronos.ports.history import History
from kronos.trading.checkpoint import open_checkpoint, seal_checkpoint
from kronos.trading.results import Portfolio, StateView, open_orders, portfolio, whole_portfolio
from kronos.trading.state import TradingState, decode_state

__all__ = ["Machine"]


class Machine:
    """Time travel inside the trading steps of one store; keep it, for its hosts are warm.  Close it when done."""

    def __init__(
        self,
        *,
        history: History,
        recordings: Recordings,
        blobs: Blobs,
        catalog: Catalog,
        key: bytes,
        cache_dir: Path,
    ) -> None:
        """Read through the ports; `key` authenticates checkpoints, `cache_dir` may be deleted at any time."""
        self._recordings, self._blobs, self._catalog = recordings, blobs, catalog
        self._key, self._code_dir = key, cache_dir / "code"
        self.steps: Final = TradingSteps(history, recordings, blobs, catalog)
        self._hosts = Hosts(blobs, cache_dir / "datasets")
        self.tables: Final = Tables(self.steps)

    def close(self) -> None:
        """End the hosts."""
        self._hosts.close()

    def core_at(self, run_id: RunId, step: str, row: int, *, attempt: int | None = None) -> CoreView:
        """Return the account and the open orders before `row`, from the record alone.

        Raises as `state_at`, and `NotFound` for a row that a failed attempt had not sealed.
        """
        begun = time.perf_counter()
        found = self.steps.find(run_id, step, attempt)
        found.check_row(row)
        if row > found.sealed_row:
            raise NotFound(
                f"row {row} of step {step!r} is not on record: attempt {found.attempt} failed and its journal ends "
                f"before row {max(found.sealed_row, found.first_row)}",
                row=row,
            )
        return _core_view(found, row, found.journal.state_before(row), begun)

    def state_at(
        self,
        run_id: RunId,
        step: str,
        row: int,
        *,
        attempt: int | None = None,
        working_tree: bool = False,
        restore_at: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> StepView:
        """Return what stood before `row` was dispatched: everything up to and including row - 1 has happened.

        `attempt` None is the last that ended; `working_tree` runs the code as checked out now, from the first row;
        `restore_at` begins at the recorded checkpoint of that row, in a host that knows nothing else of the run;
        `progress(row)` is called a few times a second while rows are re-executed.  Raises `NotFound` for an unknown
        run, step or attempt and for a step without a journal, `InvalidInput` naming the range for a row outside it,
        `Conflict` while the attempt runs or when the code raises in re-execution.
        """
        begun = time.perf_counter()
        found = self.steps.find(run_id, step, attempt)
        found.check_row(row)
        notes: list[str] = []
        code = _code_of(found, working_tree=working_tree)
        checkpoint = (
            None
            if code is RunCode.WORKING_TREE
            else self._checkpoint(found, row if restore_at is None else min(row, restore_at), notes)
        )
        alone = "" if restore_at is None else f"{secrets.token_hex(8)}:"
        seen = self._hosts.ask(
            f"{alone}{code}:{'' if working_tree else found.definition.id}",
            lambda: {} if working_tree else materialise(found.definition, self._blobs, self._code_dir),
            wire.Seek(
                [self._dataset_row(each) for each in found.datasets],
                canonical.encode(found.plan),
                isinstance(found.plan, SessionPlan),
                step,
                row,
                checkpoint,
            ),
            progress,
        )
        view = msgspec.msgpack.decode(seen.view, type=StateView)
        on_record = row <= found.sealed_row
        state = found.journal.state_before(row) if on_record else decode_state(seen.core)
        if not on_record:
            notes.append(
                f"attempt {found.attempt} failed and its journal ends before row "
                f"{max(found.sealed_row, found.first_row)}: this is recomputed, with nothing to verify it by"
            )
        verification = verify(found, row, seen, state if on_record else None, notes)
        source = "host" if seen.own else "none" if seen.restored is None else "recorded"
        label = Label.RECORDED if on_record else Label.RECOMPUTED
        core = msgspec.structs.asdict(_core_view(found, row, state, begun))
        return StepView(
            **core,
            variables=view.variables,
            core_chain=view.core_chain,
            user_chain=view.user_chain,
            labels={
                "portfolio": label,
                "open_orders": label,
                "bar": Label.RECORDED,
                "variables": Label.RECOMPUTED,
                "core_chain": Label.RECOMPUTED,
                "user_chain": Label.RECOMPUTED,
            },
            code=code,
            checkpoint=source,
            checkpoint_row=seen.restored,
            verification=verification,
            notes=[*notes, *seen.notes],
        )

    def checkpoint_rows(self, found: TradingStep) -> list[int]:
        """Return the rows before which a state of the step is stored, ascending."""
        origin = found.origin
        refs = self._recordings.checkpoints(RunId(origin.run), StepName(origin.step), origin.attempt)
        return [ref.row for ref in refs]

    def _checkpoint(self, found: TradingStep, row: int, notes: list[str]) -> bytes | None:
        """Return the nearest recorded checkpoint at or before `row`, sealed for the hosts."""
        origin = found.origin
        refs = self._recordings.checkpoints(RunId(origin.run), StepName(origin.step), origin.attempt)
        before = [ref for ref in refs if ref.row <= row]
        if not before:
            if not refs:
                notes.append("no checkpoint is stored: re-executed from the first row, or from the host's own")
            return None
        try:
            payload = open_checkpoint(self._blobs.get(before[-1].blob), self._key)
        except (CorruptHistory, NotFound) as error:
            notes.append(f"{error.message}: re-executed from the first row, or from the host's own checkpoint")
            return None
        return seal_checkpoint(payload, self._hosts.key)

    def _dataset_row(self, dataset: Dataset) -> DatasetRow:
        manifest = self._catalog.manifest(dataset)
        return DatasetRow(
            id=dataset.id,
            name=dataset.name,
            kind=dataset.kind,
            instrument=dataset.instrument,
            rows=dataset.rows,
            start_ns=dataset.start_ns,
            end_ns=dataset.end_ns,
            manifest=canonical.encode(manifest),
        )


def _code_of(found: TradingStep, *, working_tree: bool) -> RunCode:
    if working_tree:
        return RunCode.WORKING_TREE
    captured = captured_modules(found.definition)
    is_captured = all(each.partition(":")[0] in captured for each in found.strategies)
    return RunCode.CAPTURED if is_captured else RunCode.INSTALLED


def _core_view(found: TradingStep, row: int, state: TradingState, begun: float) -> CoreView:
    traded, timeline = found.instruments, found.pricing.timeline
    return CoreView(
        run_id=found.run_id,
        step=found.step,
        attempt=found.attempt,
        row=row,
        first_row=found.first_row,
        last_row=found.last_row,
        time_ns=timeline.time(row - 1) if row else None,
        bar=None if found.bars is None else bar_view(found.bars, traded[0], row),
        portfolio=_portfolio(found, row, state),
        positions=_positions(found, state),
        open_orders=open_orders(state, traded),
        records=state.records,
        elapsed_ms=(time.perf_counter() - begun) * 1e3,
    )


def _portfolio(found: TradingStep, row: int, state: TradingState) -> Portfolio:
    """Return the account of a backtest, or all of a session together, at the last prices known before `row`."""
    if isinstance(found.plan, BacktestPlan) and found.bars is not None:
        return portfolio(state, found.instruments[0], found.bars, row)
    prices = [found.pricing.price(number, row - 1) for number in range(len(found.instruments))]
    return whole_portfolio(state, found.instruments, prices, next(iter(found.config.accounts[0].cash)))


def _positions(found: TradingStep, state: TradingState) -> dict[str, dict[str, Decimal]]:
    traded = found.instruments
    return {
        config.id: {
            traded[number].symbol: traded[number].quantity(holding.quantity)
            for number, holding in account.holdings.items()
        }
        for config, account in zip(found.config.accounts, state.accounts, strict=True)
    }
