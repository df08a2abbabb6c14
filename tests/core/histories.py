"""Legal histories, drawn at random: any number of steps and attempts, cut into rows at any point."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from kronos.core.costs import Costs
from kronos.core.events import LEADING, Effect, Event, Failure, Kind, RunFacts, StepFacts, truncate

__all__ = ["attempt_facts", "histories", "whole_attempt"]

ENDS = (Kind.STEP_COMPLETED, Kind.STEP_FAILED, Kind.STEP_RETRIED)


def attempt_facts(kind: Kind, *, at: int = 1_000, cause: str = "error") -> StepFacts:
    """Return all facts of an attempt that ended as `kind`."""
    facts = StepFacts(
        scheduled=at,
        due=at,
        started=at + 10,
        worker=7,
        input="ab" * 16,
        code="c0de",
        finished=at + 20,
        effects=(Effect(name="now", value=msgspec.Raw(b"1")),),
        costs=Costs(calls=1, tokens_in=7, usd="0.1"),
    )
    if kind is Kind.STEP_COMPLETED:
        return msgspec.structs.replace(facts, output=msgspec.Raw(b'{"a":1}'))
    failure = Failure(type="ValueError", message="no", cause=cause)  # type: ignore[arg-type]
    due = at + 30 if kind is Kind.STEP_RETRIED else None
    return msgspec.structs.replace(facts, failure=failure, retry_due=due)


def whole_attempt(kind: Kind, *, first_seq: int = 1, attempt: int = 1, step: str = "a", cause: str = "error") -> Event:
    """Return the one event that stands for a whole attempt."""
    count = len(LEADING[kind])
    facts = attempt_facts(kind, cause=cause)
    return Event(
        seq=first_seq + count - 1,
        kind=kind,
        at=facts.retry_due or facts.finished or 0,
        facts=facts,
        step=step,
        attempt=attempt,
        count=count,
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """A legal history of one run, from its start to wherever it stands."""
    queues = [draw(_attempts(f"step-{i}")) for i in range(draw(st.integers(1, 4)))]
    events = [Event(seq=1, kind=Kind.RUN_STARTED, at=1, facts=RunFacts(workflow="w", input=msgspec.Raw(b"{}")))]
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        events.append(_after(events[-1].seq, queue.pop(0)))
    ending = draw(st.sampled_from([None, Kind.RUN_COMPLETED, Kind.RUN_FAILED, Kind.RUN_CANCELLED]))
    if ending is not None:
        facts = RunFacts(output=msgspec.Raw(b"2")) if ending is Kind.RUN_COMPLETED else RunFacts(reason="so")
        events.append(Event(seq=events[-1].seq + 1, kind=ending, at=9_999, facts=facts))
    return events


@st.composite
def _attempts(draw: st.DrawFn, step: str) -> list[Event]:
    rows: list[Event] = []
    tries = draw(st.integers(1, 3))
    for number in range(1, tries + 1):
        kind = Kind.STEP_RETRIED if number < tries else draw(st.sampled_from(ENDS))
        cause = draw(st.sampled_from(["error", "timeout", "lost"]))
        whole = whole_attempt(kind, attempt=number, step=step, cause=cause)
        cuts = sorted(draw(st.sets(st.integers(1, whole.count - 1))))
        if number == tries and draw(st.booleans()):
            cuts = cuts or [whole.count - 1]
            ends = cuts  # still under way: its last facts have not happened
        else:
            ends = [*cuts, whole.count]
        begin = 0
        for end in ends:
            prefix = truncate(whole, end)
            rows.append(msgspec.structs.replace(prefix, count=end - begin))
            begin = end
    return rows


def _after(seq: int, event: Event) -> Event:
    return msgspec.structs.replace(event, seq=seq + event.count)
