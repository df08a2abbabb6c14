"""The recovery runner: from each of some checkpoints, restored in a process of its own, to the end of the run.

Rule 1: a recovery counts when the account at the end and every block head on the way equal the record.
Rule 2: a checkpoint that could not be used is no recovery, even where re-execution from the first row agrees.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kronos.debugger.machine import Machine
from kronos.errors import KronosError
from kronos.kernel.ids import RunId

__all__ = ["Recovery", "recoveries"]


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """One restore and what followed; `from_row` None is the first row, `blocks` how many heads were compared."""

    from_row: int | None
    to_row: int
    ok: bool
    blocks: int
    detail: str


def recoveries(machine: Machine, run_id: RunId, step: str, *, count: int) -> Iterator[Recovery]:
    """Yield `count` recoveries at most, from checkpoints spread over the run, the first and the last among them.

    A step without checkpoints is re-executed from its first row.  Raises as `Machine.state_at` does.
    """
    found = machine.steps.find(run_id, step)
    rows = [row for row in machine.checkpoint_rows(found) if row < found.last_row]
    spread = [round(place * (len(rows) - 1) / max(count - 1, 1)) for place in range(count)]
    for row in sorted({rows[place] for place in spread}) if rows else [None]:
        yield _one(machine, run_id, step, row, found.last_row)


def _one(machine: Machine, run_id: RunId, step: str, row: int | None, to_row: int) -> Recovery:
    try:
        seen = machine.state_at(run_id, step, to_row, restore_at=row)
    except KronosError as error:
        return Recovery(from_row=row, to_row=to_row, ok=False, blocks=0, detail=error.message)
    told = seen.verification
    used = seen.checkpoint_row == row
    notes = "" if used else "the checkpoint was not used: " + "; ".join(seen.notes) + "; "
    return Recovery(
        from_row=row, to_row=to_row, ok=bool(told.ok) and used, blocks=told.blocks, detail=notes + told.detail
    )
