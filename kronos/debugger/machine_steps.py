"""A trading step on record: which attempt, what it was given, and the journal that it left.

Rule: a trading step is recognised by shape: one argument is a dataset, another a plan (strategy, parameters, config).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Final, NamedTuple

from kronos.core.events import Origin
from kronos.core.inputs import steps_in_order
from kronos.debugger.machine_journal import Journal
from kronos.debugger.replay_recording import RecordedAttempt, Recording, read_recording
from kronos.errors import Conflict, InvalidInput, KronosError, NotFound
from kronos.kernel import canonical
from kronos.kernel.ids import RunId, StepName
from kronos.market.catalog import Catalog
from kronos.market.dataset import Dataset
from kronos.market.plans import BacktestPlan
from kronos.ports import Blobs, Recordings, SegmentRef
from kronos.ports.history import Definition, History
from kronos.trading.bars import Bars
from kronos.trading.config import instrument_of, rows_of
from kronos.trading.instruments import Instrument

__all__ = ["EndedStep", "TradingStep", "TradingSteps"]

STEPS_KEPT_MAX: Final = 16
"""Steps whose input and decoded journal stay in memory."""


class TradingStep:
    """One ended attempt; rows first_row..last_row can be shown, and the journal covers those up to its end."""

    def __init__(
        self,
        recording: Recording,
        attempt: RecordedAttempt,
        *,
        dataset: Dataset,
        plan: BacktestPlan,
        bars: Bars,
        journal: Journal,
    ) -> None:
        self.run_id: Final[RunId] = recording.run.id
        self.step: Final[StepName] = attempt.step
        self.attempt: Final = attempt.number
        self.origin: Final[Origin] = attempt.origin
        self.definition: Final[Definition] = attempt.scope.definition
        self.dataset, self.plan, self.bars, self.journal = dataset, plan, bars, journal
        self.instrument: Final[Instrument] = instrument_of(bars, plan.config)
        self.first_row, stop_row = rows_of(bars, plan.config)
        self.sealed_row: Final = self.first_row - 1 if journal.end_row is None else journal.end_row
        self.last_row: Final = self.sealed_row if attempt.failure is None else stop_row

    @property
    def strategy_module(self) -> str:
        return self.plan.strategy.partition(":")[0]

    def check_row(self, row: int, field: str = "row") -> None:
        """Raise `InvalidInput`, naming the range, for a row that the step never stood before."""
        if not self.first_row <= row <= self.last_row:
            raise InvalidInput(
                f"{field} {row} is outside the rows of step {self.step!r}: {self.first_row} to {self.last_row} "
                f"({self.last_row} is the state after the last row)",
                field=field,
                value=row,
            )


class EndedStep(NamedTuple):
    """The last ended attempt of any step: its number, its canonical arguments, and the journal that it left."""

    attempt: int
    arguments: bytes
    refs: list[SegmentRef]


class TradingSteps:
    """Finds trading steps in the history."""

    def __init__(self, history: History, recordings: Recordings, blobs: Blobs, catalog: Catalog) -> None:
        self._history, self._recordings = history, recordings
        self._blobs, self._catalog = blobs, catalog
        self._kept: OrderedDict[tuple[str, str, int | None], TradingStep] = OrderedDict()
        self._guard = threading.Lock()

    def find(self, run_id: RunId, step: str, attempt: int | None = None) -> TradingStep:
        """Return an ended attempt of a step (None: the last).

        Raises `NotFound` for an unknown run, step or attempt and for a step that records no journal, `Conflict`
        while the attempt runs.
        """
        name = (run_id, step, attempt)
        with self._guard:
            found = self._kept.get(name)
            if found is not None:
                self._kept.move_to_end(name)
                return found
        recording = read_recording(self._history, run_id)
        found = self._make(recording, step, attempt)
        with self._guard:
            if recording.run.phase.is_final or attempt is not None:
                self._kept[name] = found
            if len(self._kept) > STEPS_KEPT_MAX:
                self._kept.popitem(last=False)
        return found

    def ended(self, run_id: RunId, step: str) -> EndedStep | None:
        """Return the last ended attempt of a step, whatever it is; None for a step that has not ended or is unknown."""
        recording = read_recording(self._history, run_id)
        attempts = recording.attempts.get(step, [])
        if not attempts:
            return None
        try:
            arguments = recording.bound_input(attempts[-1])
        except (KeyError, InvalidInput):
            return None
        return EndedStep(attempts[-1].number, arguments, self._segments(attempts[-1]))

    def names(self, run_id: RunId) -> list[str]:
        """Return the steps of a run that can be asked about, in order."""
        recording = read_recording(self._history, run_id)
        found = []
        for step in steps_in_order(recording.definition.graph, recording.attempts):
            ended = recording.attempts.get(step, [])
            if any(self._segments(each) for each in ended):
                found.append(step)
        return found

    def _make(self, recording: Recording, step: str, number: int | None) -> TradingStep:
        recording.definition.graph.node(step)
        attempt = self._attempt(recording, step, number)
        refs = self._segments(attempt)
        try:
            given = _given(recording.bound_input(attempt))
        except (KeyError, InvalidInput):
            given = None
        if given is None or (not refs and attempt.failure is None):
            raise self._no_journal(recording, step)
        dataset, plan = given
        return TradingStep(
            recording,
            attempt,
            dataset=dataset,
            plan=plan,
            bars=self._catalog.open(dataset),
            journal=Journal(refs, self._blobs),
        )

    def _segments(self, attempt: RecordedAttempt) -> list[SegmentRef]:
        """Return the journal of an attempt, from the run that recorded it."""
        origin = attempt.origin
        return self._recordings.segments(RunId(origin.run), StepName(origin.step), origin.attempt)

    def _attempt(self, recording: Recording, step: str, number: int | None) -> RecordedAttempt:
        run_id, ended = recording.run.id, recording.attempts.get(step, [])
        known = ", ".join(str(each.number) for each in ended) or "none"
        state = self._history.state_at(run_id).steps.get(step)
        running = state is not None and state.status in ("scheduled", "running", "retrying")
        if running and state is not None and number in (None, state.attempt) and not recording.run.phase.is_final:
            raise Conflict(
                f"attempt {state.attempt} of step {step!r} is {state.status}: its rows can be asked for when it has "
                f"ended (ended attempts: {known})",
                run_id=run_id,
                step=step,
                attempt=state.attempt,
            )
        for each in reversed(ended):
            if number in (None, each.number):
                return each
        which = f"has no ended attempt {number}" if number is not None else "has not run"
        raise NotFound(f"step {step!r} of run {run_id} {which}; ended attempts: {known}", run_id=run_id, step=step)

    def _no_journal(self, recording: Recording, step: str) -> KronosError:
        names = ", ".join(self.names(recording.run.id)) or "none"
        return NotFound(
            f"step {step!r} of run {recording.run.id} records no journal, so there is nothing inside it to see; "
            f"steps that record one: {names}",
            run_id=recording.run.id,
            step=step,
        )


def _given(data: bytes) -> tuple[Dataset, BacktestPlan] | None:
    """Return the dataset and the plan among a step's arguments, None where there is not exactly one of each."""
    arguments = canonical.decode(data)
    values = list(arguments.values()) if isinstance(arguments, dict) else []
    datasets = [found for value in values if (found := _as(value, Dataset)) is not None]
    plans = [found for value in values if (found := _as(value, BacktestPlan)) is not None]
    return (datasets[0], plans[0]) if len(datasets) == len(plans) == 1 else None


def _as(value: Any, kind: Any) -> Any:
    if not isinstance(value, dict):
        return None
    try:
        return canonical.decode(canonical.encode(value), kind)
    except InvalidInput:
        return None
