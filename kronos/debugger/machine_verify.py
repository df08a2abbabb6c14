"""A re-execution held against the record: the state at the row, and every block head on the way.

Rule 1: the core chain is equal on every machine: a difference is a divergence.
Rule 2: the user chain is comparable only under the Python and machine of the run: elsewhere floats may differ, and
        equal decisions with another user chain are a match with a note.
"""

from __future__ import annotations

import platform

from kronos.debugger import host_wire as wire
from kronos.debugger.machine_steps import TradingStep
from kronos.debugger.machine_views import Verification
from kronos.trading.positions import BLOCK_ROWS
from kronos.trading.state import TradingState, encode_state

__all__ = ["verify"]


def verify(found: TradingStep, row: int, seen: wire.Seen, state: TradingState | None, notes: list[str]) -> Verification:
    """Compare `seen` with the journal of `found` and with the recorded core `state` before `row`."""
    first = seen.heads[0].row
    recorded = found.journal.heads(first, row)
    compared = [(head, recorded[head.row]) for head in seen.heads if head.row in recorded]
    for head, theirs in compared:
        if head.core != theirs.core:
            return _differs(head.row, "core", len(compared), "decisions or money differ")
    if state is not None and encode_state(state) != seen.core:
        return _differs(row, "core", len(compared), "the account differs")
    for head, theirs in compared:
        if head.user != theirs.user:
            if _same_machine(found.definition.environment):
                return _differs(head.row, "user", len(compared), "strategy variables differ")
            notes.append("strategy variables differ from the run's, on another Python or machine; decisions are equal")
            break
    if state is None and not compared:
        return Verification(ok=None, blocks=0, detail="nothing is on record here")
    what = "the core state" if state is not None else "nothing at this row"
    return Verification(
        ok=True, blocks=len(compared), detail=f"equal to the record: {what} and {len(compared)} block heads"
    )


def _differs(row: int, chain: str, blocks: int, what: str) -> Verification:
    first = (row - 1) // BLOCK_ROWS * BLOCK_ROWS
    return Verification(
        ok=False,
        blocks=blocks,
        detail=f"{what} from the record, first in rows {first} to {row - 1}",
        chain=chain,
        first_differing_row=first,
    )


def _same_machine(environment: dict[str, str]) -> bool:
    here = {"python": platform.python_version(), "machine": platform.machine()}
    return all(environment.get(name) == value for name, value in here.items())
