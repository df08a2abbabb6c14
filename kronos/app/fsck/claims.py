"""What a run's row says to those who might claim it, held against the fold of its history.

Rule 1: what the row alone gives away is asked in SQL (`sql/fsck/empty/claim.sql`); here is what needs the fold.
Rule 2: a run that is given back only waits: its row and its history were written together, and stay as they were.
"""

from __future__ import annotations

from collections.abc import Iterator

from kronos.app.fsck.rows import CLOCK_NS, RunLine
from kronos.core.state import Phase, Run

__all__ = ["faults_of_claim"]


def faults_of_claim(run: RunLine, state: Run, *, last: int) -> Iterator[str]:
    """Yield what the row of a run whose history ends at seq `last` says that its next owner must not believe."""
    if run.takeover_seq > last:
        yield f"its progress is noted at seq {run.takeover_seq}; its history ends at {last}"
    if run.phase == Phase.PENDING and last > run.parent_seq:
        yield f"it is pending, and has a history up to seq {last}"
    if run.phase != Phase.WAITING:
        return
    if state.phase is not Phase.RUNNING:
        yield f"it waits, and its events lead to {state.phase}"
    elif last > run.head_seq:
        yield f"events after seq {run.head_seq} were added while it waited"
    due = _due(run, state)
    if due is not None and run.wake is not None and run.wake > due + CLOCK_NS:
        yield "it sleeps past the moment that it waits for"


def _due(run: RunLine, state: Run) -> int | None:
    """Return the first moment (ns) at which something comes due; a fork may have dropped steps that waited."""
    if state.compensating is not None:
        return None
    limit = None if run.timeout_ms is None else int(run.created) + run.timeout_ms * 1_000_000
    waits = () if run.parent_seq else (step.facts.due for step in state.steps.values() if step.waits_for)
    return min((due for due in (*waits, limit) if due is not None), default=None)
