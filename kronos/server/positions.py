"""A run as of any of its events, with what each step had been given and had given.

Rule 1: only the fold of the first `seq` events is asked; a later output cannot leak into an earlier position.
Rule 2: an input is bound by the graph from the run's input and the outputs known there, and compared with the hash
        that the history holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from kronos.core.events import Event, StepFacts, truncate
from kronos.core.graph import Graph
from kronos.core.inputs import Inputs, RunOutputs, elements_of, steps_in_order
from kronos.core.state import Run, StepState, StepStatus, apply, new_run
from kronos.errors import InvalidInput, KronosError
from kronos.kernel.hashing import input_digest
from kronos.kernel.ids import RunId
from kronos.ports.history import History, RunSummary
from kronos.ports.lineage import Scope
from kronos.server import shapes
from kronos.server.reading import Budget, Reading, event_line, failure_of, href, ns
from kronos.server.reports import has_report, report_href

__all__ = ["Positions"]

PAGE: Final = 1_000
STEPS_MAX: Final = 2_000
"""Steps of one answer: the elements of a wide map are read one by one."""
_NEVER: Final = StepState(status=StepStatus.PENDING, attempt=0, facts=StepFacts())


class Positions:
    """Answers what was true at a position."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._history: Final[History] = reading.history

    def state(self, run_id: RunId, seq: int | None, *, payloads: str, budget: Budget) -> shapes.RunState:
        """Return the run as of `seq` (None: now); `payloads` is "all", "none" or the step whose values are wanted."""
        summary = self._history.run(run_id)
        graph = self._history.definition(summary.definition).graph
        if payloads not in ("all", "none"):
            graph.node(payloads)
        run = self._history.state_at(run_id, seq)
        known = _Known(self._history, run, self._scopes(summary))
        event = self._event(run_id, run.seq)
        return shapes.RunState(
            run_id=run_id,
            seq=run.seq,
            head_seq=max(summary.head_seq, run.seq),
            at=None if event is None else event.at,
            phase=run.phase,
            steps=[
                self._step(graph, run, step, known, budget if payloads in ("all", step) else None)
                for step in steps_in_order(graph, run.steps)[:STEPS_MAX]
            ],
            output=_given(self._reading, run.output, budget, href(run_id, "output", seq=run.seq)),
            failure=None if run.failure is None else failure_of(run.failure),
            event=event,
        )

    def value(self, run_id: RunId, part: str, *, step: str | None, seq: int | None) -> bytes:
        """Return a whole recorded value as of `seq`; raise `InvalidInput` where there is none yet."""
        summary = self._history.run(run_id)
        run = self._history.state_at(run_id, seq)
        if step is None:
            if part == "input":
                return self._history.payload(summary.input)
            found = run.output
        else:
            graph = self._history.definition(summary.definition).graph
            graph.node(step)
            if part == "input":
                return _Known(self._history, run, self._scopes(summary)).bind(step)
            found = run.steps.get(step, _NEVER).facts.output
        if found is msgspec.UNSET:
            where = f"step {step!r} of run {run_id}" if step else f"run {run_id}"
            raise InvalidInput(f"{where} has no {part} at seq {run.seq}", field="part", value=part, seq=run.seq)
        value = self._history.payload(found)
        return value if step is None or elements_of(value) is None else _Known(self._history, run, [])[step]

    def fact(self, run_id: RunId, seq: int) -> Event:
        """Return the single fact at `seq`."""
        for fact in self._reading.facts(run_id, after=seq - 1, limit=1) if seq > 0 else ():
            return fact
        raise InvalidInput(f"run {run_id} has no event at seq {seq}", field="seq", value=seq)

    def _scopes(self, run: RunSummary) -> list[Scope]:
        """Return under what a run's parts were recorded, newest first; only a fork has more than one."""
        if run.parent is not None:
            return self._history.scopes(run.id)[::-1]
        return [Scope(run_id=run.id, after_seq=0, definition=run.definition, input=run.input, fork=None)]

    def _event(self, run_id: RunId, seq: int) -> shapes.EventLine | None:
        return event_line(run_id, self.fact(run_id, seq), Budget()) if seq else None

    def _step(self, graph: Graph, run: Run, step: str, known: _Known, budget: Budget | None) -> shapes.StepView:
        state = run.steps.get(step, _NEVER)
        view = _outline(step, state)
        if budget is None:
            return view
        facts = state.facts
        data = known.input_of(step)
        matches = None if data is None or facts.input is None else input_digest(data) == facts.input
        where = href(run.id, "input", step=step, seq=run.seq)
        origin: str | None = None if data is None else "derived" if facts.input is None else "recorded"
        return msgspec.structs.replace(
            view,
            input=None if data is None else budget.take(data, where),
            input_origin=origin,
            input_matches=matches,
            output=_given(self._reading, facts.output, budget, href(run.id, "output", step=step, seq=run.seq)),
            effects=[
                shapes.Effect(name=each.name, key=each.key, value=self._reading.payload(each.value, budget, ""))
                for each in facts.effects
            ],
            attempts=self._attempts(run, step, state),
            report=report_href(run.id, step) if has_report(self._history, facts.output) else None,
        )

    def _attempts(self, run: Run, step: str, state: StepState) -> list[shapes.Attempt]:
        if state.attempt <= 1:
            return [_attempt(state, state.attempt)] if state.attempt else []
        latest: dict[int, StepState] = {}
        then = new_run(run.id)
        for event in self._until(run.id, run.seq):
            then = apply(then, event if event.seq <= run.seq else truncate(event, run.seq))
            if event.step == step:
                latest[event.attempt] = then.steps[step]
        return [_attempt(each, state.attempt) for each in latest.values()]

    def _until(self, run_id: RunId, seq: int) -> Iterator[Event]:
        after = 0
        while after < seq:
            page = self._history.events(run_id, after=after, limit=PAGE)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].seq


class _Known:
    """The outputs that are known at a position, fetched when they are first asked for, and what they are bound to."""

    def __init__(self, history: History, run: Run, scopes: list[Scope]) -> None:
        self._history = history
        self._run = run
        self._scopes = scopes
        self._fetched = RunOutputs()
        self._inputs: dict[RunId, Inputs] = {}

    def bind(self, step: str) -> bytes:
        """Return the step's bound input; raise `KeyError` while something it needs is not known.

        Of a fork, under that part of the history whose input has the recorded hash: else under the newest.
        """
        recorded = self._run.steps.get(step, _NEVER).facts.input
        newest = self._bound(self._scopes[0], step)
        if recorded is None or len(self._scopes) == 1:
            return newest
        bound = (newest, *(self._bound(scope, step) for scope in self._scopes[1:]))
        return next((data for data in bound if input_digest(data) == recorded), newest)

    def _bound(self, scope: Scope, step: str) -> bytes:
        inputs = self._inputs.get(scope.run_id)
        if inputs is None:
            graph = self._history.definition(scope.definition).graph
            inputs = self._inputs[scope.run_id] = Inputs(graph, self._history.payload(scope.input), self)
        data = inputs.of(step)
        return data if scope.fork is None else scope.fork.arguments(step, data)

    def input_of(self, step: str) -> bytes | None:
        """Return the step's bound input, or None while something it needs is not known."""
        try:
            return self.bind(step)
        except (KeyError, KronosError):
            return None

    def __getitem__(self, step: str) -> bytes:
        if step not in self._fetched:
            state = self._run.steps[step]
            if state.status is not StepStatus.COMPLETED or state.facts.output is msgspec.UNSET:
                raise KeyError(step)
            self._fetched.put(step, self._history.payload(state.facts.output))
            for index in range(self._fetched.elements.get(step, 0)):
                self[f"{step}[{index}]"]
        return self._fetched[step]


def _outline(step: str, state: StepState) -> shapes.StepView:
    facts = state.facts
    return shapes.StepView(
        step=step,
        status=state.status,
        attempt=state.attempt,
        failures=state.failures,
        scheduled=ns(facts.scheduled),
        started=ns(facts.started),
        finished=ns(facts.finished),
        due=ns(facts.due),
        retry_due=ns(facts.retry_due),
        worker=facts.worker,
        code=facts.code,
        failure=None if facts.failure is None else failure_of(facts.failure),
        reused_from=None if facts.reused_from is None else facts.reused_from.run,
        replaced=facts.replaced,
        waits_for=state.waits_for,
    )


def _given(
    reading: Reading, value: msgspec.Raw | msgspec.UnsetType, budget: Budget, where: str
) -> shapes.Payload | None:
    return None if value is msgspec.UNSET else reading.payload(value, budget, where)


def _attempt(state: StepState, current: int) -> shapes.Attempt:
    facts = state.facts
    is_over = state.status is StepStatus.RETRYING and state.attempt < current
    return shapes.Attempt(
        attempt=state.attempt,
        status=StepStatus.FAILED if is_over else state.status,
        scheduled=ns(facts.scheduled),
        started=ns(facts.started),
        finished=ns(facts.finished),
        failure=None if facts.failure is None else failure_of(facts.failure),
    )
