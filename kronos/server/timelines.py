"""A whole run in at most 4,000 points, however long it is.

Rule 1: half of the points are bars (attempts), half are marks (events); where there are more, neighbours merge, and
        the answer says so.
Rule 2: a history only grows, so a run is read once: each request goes on where the last one stopped.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Final

import msgspec

from kronos.core.events import Event, Kind, StepFacts, expand
from kronos.core.state import StepStatus
from kronos.kernel.ids import RunId
from kronos.ports.history import History
from kronos.server import shapes

__all__ = ["BARS_MAX", "MARKS_MAX", "Timelines"]

BARS_MAX: Final = 2_000
MARKS_MAX: Final = 2_000
RUNS_KEPT: Final = 16
PAGE: Final = 1_000

_TONES: Final = ("plain", "done", "retry", "failed", "run")
_TONE_OF: Final = {
    Kind.STEP_COMPLETED: "done",
    Kind.STEP_RETRIED: "retry",
    Kind.STEP_FAILED: "failed",
    Kind.RUN_FAILED: "failed",
    Kind.RUN_CANCELLED: "failed",
}
_ENDS: Final = {
    Kind.STEP_COMPLETED: StepStatus.COMPLETED,
    Kind.STEP_FAILED: StepStatus.FAILED,
    Kind.STEP_RETRIED: StepStatus.FAILED,
}


class Timelines:
    """The timelines of the runs that were looked at last."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._kept: OrderedDict[RunId, _Drawing] = OrderedDict()
        self._guard = Lock()

    def timeline(self, run_id: RunId) -> shapes.Timeline:
        """Return the timeline as of now."""
        with self._guard:
            drawing = self._kept.setdefault(run_id, _Drawing())
            self._kept.move_to_end(run_id)
            while len(self._kept) > RUNS_KEPT:
                self._kept.popitem(last=False)
        with drawing.guard:
            while page := self._history.events(run_id, after=drawing.seq, limit=PAGE):
                for event in page:
                    drawing.add(event)
                if len(page) < PAGE:
                    break
            order = self._history.definition(self._history.run(run_id).definition).graph.by_name
            return drawing.shape(list(order))


class _Drawing:
    """What was drawn of one run so far."""

    def __init__(self) -> None:
        self.guard = Lock()
        self.seq = 0
        self._start: int | None = None
        self._end: int | None = None
        self._bars: dict[tuple[str, int], shapes.Bar] = {}
        self._marks: list[shapes.Mark] = []
        self._width = 1

    def add(self, event: Event) -> None:
        for fact in expand(event):
            self._add_mark(fact)
            if fact.step and "[" not in fact.step and fact.kind is not Kind.STEP_SKIPPED:  # drawn by the node
                self._add_to_bar(fact)
            self._start = fact.at if self._start is None else min(self._start, fact.at)
            self._end = fact.at if self._end is None else max(self._end, fact.at)
        self.seq = event.seq

    def shape(self, order: list[str]) -> shapes.Timeline:
        place = {step: i for i, step in enumerate(order)}
        bars = sorted(self._bars.values(), key=lambda bar: (place.get(bar.step, len(place)), bar.attempt))
        drawn = _merge(bars)
        return shapes.Timeline(
            head_seq=self.seq,
            start=None if self._start is None else str(self._start),
            end=None if self._end is None else str(self._end),
            bars=drawn,
            marks=list(self._marks),
            merged=len(drawn) < len(bars) or self._width > 1,
        )

    def _add_mark(self, fact: Event) -> None:
        tone = "run" if fact.kind is Kind.RUN_COMPLETED else _TONE_OF.get(fact.kind, "plain")
        new = shapes.Mark(first_seq=fact.seq, last_seq=fact.seq, at=str(fact.at), tone=tone)  # type: ignore[arg-type]
        last = self._marks[-1] if self._marks else None
        if last is not None and last.last_seq - last.first_seq + 1 < self._width:
            self._marks[-1] = _joined(last, new)
        else:
            self._marks.append(new)
        if len(self._marks) > MARKS_MAX:
            pairs = zip(self._marks[0::2], [*self._marks[1::2], None], strict=False)
            self._marks = [left if right is None else _joined(left, right) for left, right in pairs]
            self._width *= 2

    def _add_to_bar(self, fact: Event) -> None:
        key = (fact.step, fact.attempt)
        bar = self._bars.get(key)
        if bar is None:
            bar = shapes.Bar(
                step=fact.step,
                attempt=fact.attempt,
                merged=1,
                scheduled=str(fact.at),
                scheduled_seq=fact.seq,
                started=None,
                started_seq=None,
                finished=None,
                finished_seq=None,
                status=StepStatus.SCHEDULED,
                waits_for=_wait_of(fact),
            )
        if fact.kind is Kind.STEP_STARTED:
            bar = msgspec.structs.replace(bar, started=str(fact.at), started_seq=fact.seq, status=StepStatus.RUNNING)
        elif fact.kind in _ENDS and bar.finished_seq is None:
            bar = msgspec.structs.replace(bar, finished=str(fact.at), finished_seq=fact.seq, status=_ENDS[fact.kind])
        self._bars[key] = bar


def _wait_of(fact: Event) -> str | None:
    facts = fact.facts
    return facts.wait if isinstance(facts, StepFacts) and facts.wait != "inside" else None


def _joined(left: shapes.Mark, right: shapes.Mark) -> shapes.Mark:
    gravest = max(left.tone, right.tone, key=_TONES.index)
    return shapes.Mark(first_seq=left.first_seq, last_seq=right.last_seq, at=right.at, tone=gravest)


def _merge(bars: list[shapes.Bar]) -> list[shapes.Bar]:
    if len(bars) <= BARS_MAX:
        return bars
    each = -(-len(bars) // BARS_MAX)
    return [_as_one(bars[i : i + each]) for i in range(0, len(bars), each)]


def _as_one(bars: list[shapes.Bar]) -> shapes.Bar:
    if len(bars) == 1:
        return bars[0]
    is_over = all(bar.finished is not None for bar in bars)
    started = [bar for bar in bars if bar.started is not None]
    return msgspec.structs.replace(
        bars[0],
        merged=len(bars),
        scheduled=min((bar.scheduled for bar in bars), key=int),
        scheduled_seq=min(bar.scheduled_seq for bar in bars),
        started=min((bar.started or "" for bar in started), key=int, default=None),
        started_seq=min((bar.started_seq or 0 for bar in started), default=None),
        finished=max((bar.finished or "" for bar in bars), key=int) if is_over else None,
        finished_seq=max(bar.finished_seq or 0 for bar in bars) if is_over else None,
        status=max((bar.status for bar in bars), key=_GRAVITY.index),
        waits_for=bars[0].waits_for if len({bar.waits_for for bar in bars}) == 1 else None,
    )


_GRAVITY: Final = tuple(
    StepStatus[name] for name in ("PENDING", "COMPLETED", "SCHEDULED", "RUNNING", "RETRYING", "FAILED")
)
