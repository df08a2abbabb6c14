"""`kronos artifacts`: what a trading step left, as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kronos.cli.options import Json
from kronos.cli.output import note, print_json
from kronos.errors import InvalidInput

if TYPE_CHECKING:
    from kronos.debugger.machine import Machine
    from kronos.kernel.ids import RunId

__all__ = ["artifacts", "trading_step"]


def artifacts(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    *,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder to write to.")],
    step: Annotated[str | None, typer.Option(help="The trading step; default: the only one.")] = None,
    json: Json = False,
) -> None:
    """Write a run's trades, orders, fills and equity (Parquet, CSV), its figures and its tear sheet."""
    from kronos.app import Kronos
    from kronos.flows.artifacts import write_artifacts
    from kronos.kernel.ids import parse_run_id
    from kronos.trading.analysis import analyse

    run_id = parse_run_id(run)
    with Kronos.open() as app:
        machine = app.machine()
        try:
            chosen = trading_step(machine, run_id, step)
            found = machine.steps.find(run_id, chosen)
            ledger = machine.tables.ledger(run_id, chosen)
            core = found.journal.refs[-1].core_chain.hex()
            title = found.title
            analysis = analyse(ledger, found.datasets[0].calendar)
        finally:
            machine.close()
    written = write_artifacts(to, ledger, analysis, title=title, core_chain=core)
    if json:
        print_json({"run_id": run_id, "step": chosen, "core_chain": core, "files": [str(path) for path in written]})
        return
    for path in written:
        print(path)
    note(f"step {chosen} of run {run_id}")


def trading_step(machine: Machine, run_id: RunId, step: str | None) -> str:
    """Return `step`, or the only trading step of the run; raise `InvalidInput` naming those that there are."""
    if step is not None:
        return step
    names = machine.steps.names(run_id)
    if len(names) != 1:
        told = ", ".join(names) or "none"
        raise InvalidInput(f"run {run_id} has {len(names)} trading steps ({told}): name one with --step", field="step")
    return names[0]
