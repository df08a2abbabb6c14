"""A trading step on record: which attempt, what it was given, and the journal that it left.

Rule: a trading step is recognised by shape: one argument is a dataset, or several, another the plan of a run.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

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
from kronos.market.session_plans import Plan, SessionPlan
from kronos.ports import Blobs, Recordings, SegmentRef
from kronos.ports.history import Definition, History
from kronos.trading.bars import Bars
from kronos.trading.building import instruments_of, range_of
from kronos.trading.config import session_config_of
from kronos.trading.instruments import Instrument
from kronos.trading.pricing import Pricing
from kronos.trading.streams import Stream, on_time
from kronos.trading.timeline import Timeline

__all__ = ["TradingStep", "TradingSteps"]

STEPS_KEPT_MAX: Final = 16
"""Steps whose input and decoded journal stay in memory."""


class TradingStep:
    """One ended attempt; rows first_row..last_row can be shown, and the journal covers those up to its end."""

    def __init__(
        self,
        recording: Recording,
        attempt: RecordedAttempt,
        *,
        datasets: Sequence[Dataset],
        plan: Plan,
        streams: Sequence[Stream],
        journal: Journal,
    ) -> None:
        self.run_id: Final[RunId] = recording.run.id
        self.step: Final[StepName] = attempt.step
        self.attempt: Final = attempt.number
        self.origin: Final[Origin] = attempt.origin
        self.definition: Final[Definition] = attempt.scope.definition
        self.datasets, self.plan, self.journal = list(datasets), plan, journal
        config = session_config_of(plan.config) if isinstance(plan, BacktestPlan) else plan.config
        streams, _ = on_time(streams, config.late)
        self.config, timeline = config, Timeline(streams, feed_ns=config.latency.feed_ns)
        self.pricing: Final = Pricing(streams, timeline, list(instruments_of(streams, config).values()))
        self.first_row, stop_row = range_of(timeline, config)
        self.sealed_row: Final = self.first_row - 1 if journal.end_row is None else journal.end_row
        self.last_row: Final = self.sealed_row if attempt.failure is None else stop_row

    @property
    def instruments(self) -> Sequence[Instrument]:
        """What is traded, by number."""
        return self.pricing.traded

    @property
    def bars(self) -> Bars | None:
        """The only stream, where it is one of bars: its rows are those of the step."""
        streams = self.pricing.streams
        return streams[0] if len(streams) == 1 and isinstance(streams[0], Bars) else None

    @property
    def strategies(self) -> list[str]:
        """The strategies as `module:Class`, in the order of their registration."""
        plan = self.plan
        return [plan.strategy] if isinstance(plan, BacktestPlan) else [each.strategy for each in plan.strategies]

    @property
    def title(self) -> str:
        """Which strategies traded what."""
        names = (each.rpartition(":")[2] for each in self.strategies)
        return f"{', '.join(names)} on {', '.join(each.symbol for each in self.instruments)}"

    def check_row(self, row: int, field: str = "row") -> None:
        """Raise `InvalidInput`, naming the range, for a row that the step never stood before."""
        if not self.first_row <= row <= self.last_row:
            raise InvalidInput(
                f"{field} {row} is outside the rows of step {self.step!r}: {self.first_row} to {self.last_row} "
                f"({self.last_row} is the state after the last row)",
                field=field,
                value=row,
            )


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
        datasets, plan = given
        return TradingStep(
            recording,
            attempt,
            datasets=datasets,
            plan=plan,
            streams=[self._catalog.stream(each) for each in datasets],
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


def _given(data: bytes) -> tuple[list[Dataset], Plan] | None:
    """Return the datasets and the plan among a step's arguments, None where there are not those of one run."""
    arguments = canonical.decode(data)
    values = list(arguments.values()) if isinstance(arguments, dict) else []
    for kinds in ((Dataset, BacktestPlan), (list[Dataset], SessionPlan)):
        datasets, plans = ([found for value in values if (found := _as(value, kind))] for kind in kinds)
        if len(datasets) == len(plans) == 1:
            return datasets[0] if isinstance(datasets[0], list) else datasets, plans[0]
    return None


def _as(value: Any, kind: Any) -> Any:
    if not isinstance(value, dict | list):
        return None
    try:
        return canonical.decode(canonical.encode(value), kind)
    except InvalidInput:
        return None
