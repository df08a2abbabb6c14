"""From the history to shapes: runs, events, payloads.

Rule 1: nothing is decided here; what the history says is cut to size and spelled for the wire.
Rule 2: every read is bounded: pages, payloads, and the bytes of one response.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Final
from urllib.parse import quote

import msgspec

from kronos.core import events as core
from kronos.core.events import Event, RunFacts, StepFacts, expand
from kronos.core.graph import Graph
from kronos.core.inputs import steps_in_order
from kronos.core.state import Phase, StepStatus
from kronos.errors import InvalidInput
from kronos.kernel.ids import RunId
from kronos.kernel.unreadable import DAMAGE, OURS, readable
from kronos.ports.history import Definition, History, RunFilter, RunSummary
from kronos.server import shapes
from kronos.server.glance import cut, glance_of_failure, glance_of_output

__all__ = ["Budget", "Reading", "failure_of", "ns"]

EVENTS_MAX: Final = 1_000
COUNTED_MAX: Final = 4_096
CODE_SHOWN: Final = 12
_DONE: Final = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})


@dataclass
class Budget:
    """How many bytes of recorded values one response may still carry, and each of them at most."""

    each: int = 4_096
    left: int = 1_048_576

    def take(self, data: bytes, href: str) -> shapes.Payload:
        """Return `data` as a payload, cut at a character where it is too large."""
        size = min(self.each, self.left)
        self.left -= min(len(data), size)
        text = data[:size].decode("utf-8", errors="ignore")
        return shapes.Payload(json=text, bytes=len(data), truncated=len(data) > size, href=href)


class Reading:
    """Reads runs for one server."""

    def __init__(self, history: History) -> None:
        self.history: Final = history
        self._counted: OrderedDict[tuple[RunId, int], int] = OrderedDict()
        self._guard = Lock()

    def runs(self, chosen: RunFilter) -> shapes.RunList:
        """Return a page of runs."""
        page = self.history.runs(chosen)
        return shapes.RunList(runs=[self.line(run) for run in page.runs], next=page.next_before)

    def line(self, run: RunSummary) -> shapes.RunLine:
        """Return a run's line with its progress."""
        total, done, trouble = self._progress(run)
        return shapes.RunLine(
            id=run.id,
            workflow=run.workflow,
            version=run.version,
            phase=run.phase,
            created_at=str(run.created_at),
            started_at=ns(run.started_at),
            finished_at=ns(run.finished_at),
            head_seq=run.head_seq,
            steps_total=total,
            steps_done=done,
            glance=trouble or self._glance(run),
            failed_step=run.failed_step,
        )

    def detail(self, run_id: RunId, budget: Budget) -> shapes.RunDetail:
        """Return a run with its graph."""
        run = self.history.run(run_id)
        graph = self.history.definition(run.definition).graph
        level: dict[str, int] = {}
        for node in graph.nodes:
            level[node.name] = 1 + max((level[name] for name in graph.predecessors[node.name]), default=-1)
        return shapes.RunDetail(
            run=self.line(run),
            definition=run.definition,
            input=self.payload(run.input, budget, href(run_id, "input")),
            output=None if run.output is None else self.payload(run.output, budget, href(run_id, "output")),
            failure=None if run.failure is None else failure_of(run.failure),
            steps=[
                shapes.GraphNode(
                    step=node.name,
                    target=node.target,
                    needs=list(node.needs),
                    after=list(node.after),
                    level=level[node.name],
                    retries=node.options.retries,
                )
                for node in map(graph.node, _drawn(graph))
            ],
        )

    def events(self, run_id: RunId, *, after: int, limit: int, budget: Budget | None) -> shapes.EventPage:
        """Return up to `limit` single facts after `after`; with a `budget`, each with what it made known."""
        if not 1 <= limit <= EVENTS_MAX:
            raise InvalidInput(f"limit {limit} is outside 1..{EVENTS_MAX}", field="limit", value=limit)
        facts = self.facts(run_id, after=after, limit=limit)
        lines = [event_line(run_id, fact, budget) for fact in facts]
        # an event that a moment ago was not there may be there now: the head is never behind the page
        return shapes.EventPage(
            events=lines, head_seq=max(self.history.run(run_id).head_seq, facts[-1].seq if facts else 0)
        )

    def facts(self, run_id: RunId, *, after: int, limit: int) -> list[Event]:
        """Return up to `limit` single facts after `after`."""
        stored = self.history.events(run_id, after=after, limit=limit)
        return [fact for event in stored for fact in expand(event) if fact.seq > after][:limit]

    def payload(self, value: bytes | msgspec.Raw, budget: Budget, where: str) -> shapes.Payload:
        """Return a recorded value, fetched where it is kept as a blob."""
        return budget.take(self.history.payload(value), where)

    def workflows(self) -> shapes.WorkflowList:
        """Return the registered workflows, by name."""
        newest: dict[str, shapes.WorkflowLine] = {}
        for each in self.history.definitions():
            line = shapes.WorkflowLine(
                workflow=each.workflow,
                version=each.version,
                steps=len(_drawn(each.graph)) if isinstance(each, Definition) else 0,
                trouble=None if isinstance(each, Definition) else each.why,
            )
            newest.setdefault(each.workflow, line)
        return shapes.WorkflowList(workflows=[newest[name] for name in sorted(newest)])

    def _progress(self, run: RunSummary) -> tuple[int, int, str]:
        """Return how many steps a run has, how many are done, and why that cannot be read, "" otherwise."""
        try:
            total = len(_drawn(self.history.definition(run.definition).graph))
            return total, total if run.phase is Phase.COMPLETED else self._steps_done(run), ""
        except OURS:
            raise
        except DAMAGE as error:
            return 0, 0, cut(str(error))

    def _steps_done(self, run: RunSummary) -> int:
        key = (run.id, run.head_seq)
        with self._guard:
            if key in self._counted:
                return self._counted[key]
        steps = self.history.state_at(run.id, run.head_seq).steps
        drawn = _drawn(self.history.definition(run.definition).graph)
        done = sum(name in steps and steps[name].status in _DONE for name in drawn)
        with self._guard:
            self._counted[key] = done
            if len(self._counted) > COUNTED_MAX:
                self._counted.popitem(last=False)
        return done

    def _glance(self, run: RunSummary) -> str:
        if run.failure is not None:
            return glance_of_failure(run.failure)
        output = run.output
        return "" if output is None else glance_of_output(readable(lambda: self.history.payload(output)))


def _drawn(graph: Graph) -> list[str]:
    """Return the steps that a run has for certain: what maps and loops make of them comes in the run."""
    return steps_in_order(graph, ())


def event_line(run_id: RunId, fact: Event, budget: Budget | None = None) -> shapes.EventLine:
    """Return one single fact."""
    shown = None
    if budget is not None:
        shown = budget.take(core.encode_facts(fact.facts), f"/api/v1/runs/{run_id}/events/{fact.seq}")
    return shapes.EventLine(
        seq=fact.seq,
        kind=fact.kind,
        at=str(fact.at),
        step=fact.step,
        attempt=fact.attempt,
        note=cut(_note(fact)),
        facts=shown,
    )


def failure_of(failure: core.Failure) -> shapes.Failure:
    """Return a failure for the wire."""
    return shapes.Failure(type=failure.type, message=failure.message, cause=failure.cause, traceback=failure.traceback)


def href(run_id: RunId, part: str, *, step: str = "", seq: int | None = None) -> str:
    """Return where a recorded value is whole."""
    at = "" if seq is None else f"&seq={seq}"
    of = f"&step={quote(step, safe='')}" if step else ""
    return f"/api/v1/runs/{run_id}/payload?part={part}{of}{at}"


def ns(value: int | None) -> str | None:
    """Return a time for the wire."""
    return None if value is None else str(value)


def _note(fact: Event) -> str:
    facts = fact.facts
    if facts.failure is not None and fact.kind != core.Kind.STEP_RETRIED:
        return f"{facts.failure.type}: {facts.failure.message}"
    if isinstance(facts, RunFacts):
        return facts.reason or (f"{facts.workflow} {facts.version}" if facts.workflow else "")
    return _step_note(fact.kind, facts)


def _step_note(kind: core.Kind, facts: StepFacts) -> str:
    if kind is core.Kind.STEP_STARTED and facts.worker is not None:
        return f"worker {facts.worker}"
    if kind is core.Kind.STEP_INPUT_RECORDED and facts.input:
        return f"input {facts.input[:CODE_SHOWN]}"
    if kind is core.Kind.STEP_EXPANDED:
        return facts.arm or f"{facts.elements} elements"
    if kind is core.Kind.STEP_COMPLETED and facts.started and facts.finished:
        return f"took {(facts.finished - facts.started) / 1e9:,.3f} s"
    return ""
