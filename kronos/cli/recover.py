"""`kronos recover`: whether a run, restored from its checkpoints, comes to the same end."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer

from kronos.cli.artifacts import trading_step
from kronos.cli.options import Json
from kronos.cli.output import note, print_json, print_rows

__all__ = ["recover"]


def recover(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    *,
    step: Annotated[str | None, typer.Option(help="The trading step; default: the only one.")] = None,
    count: Annotated[int, typer.Option("--checkpoints", min=1, max=100, help="How many to restore at most.")] = 3,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when anything differs from the record.")] = False,
    json: Json = False,
) -> None:
    """Restore checkpoints of a trading step, each in a process of its own, run on to its end, and compare."""
    from kronos.app import Kronos
    from kronos.debugger.recovery import recoveries
    from kronos.kernel.ids import parse_run_id

    run_id = parse_run_id(run)
    with Kronos.open() as app:
        machine = app.machine()
        try:
            found = list(recoveries(machine, run_id, trading_step(machine, run_id, step), count=count))
        finally:
            machine.close()
    if json:
        print_json(found)
    else:
        titles = ("from_row", "to_row", "ok", "blocks", "detail")
        print_rows(titles, [[msgspec.structs.asdict(each)[title] for title in titles] for each in found])
        note(f"{sum(each.ok for each in found)} of {len(found)} came to the recorded end")
    if strict and not all(each.ok for each in found):
        sys.exit(1)
