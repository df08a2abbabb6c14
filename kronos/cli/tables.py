"""`kronos runs trades | orders | fills`: what a trading step did, read off its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kronos.cli.output import print_json, print_rows, show_time
from kronos.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from kronos.app import Kronos
    from kronos.kernel.ids import RunId

__all__ = ["add_tables"]

Table = Literal["trades", "orders", "fills"]
HELP: dict[Table, str] = {
    "trades": "Closed trades of a trading step, then open ones.",
    "orders": "Every order of a trading step, and what became of it.",
    "fills": "Every execution of a trading step, in order.",
}


def add_tables(app: typer.Typer) -> None:
    """Add a command for each table."""
    for table, text in HELP.items():
        app.command(table, help=text)(_command(table))


def _command(table: Table) -> Any:
    def show(
        run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
        step: Annotated[
            str | None, typer.Argument(metavar="STEP", help="Default: the run's only trading step.")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        from kronos.app import Kronos
        from kronos.kernel.ids import parse_run_id

        run_id = parse_run_id(run)
        with Kronos.open() as opened:
            rows = _read(opened, run_id, step or _only_step(opened, run_id), table)
        if json:
            print_json(rows)
        else:
            titles = list(rows[0]) if rows else []
            print_rows(titles, [[_shown(name, row[name]) for name in titles] for row in rows])

    return show


def _read(opened: Kronos, run_id: RunId, step: str, table: Table) -> list[dict[str, Any]]:
    import msgspec

    machine = opened.machine()
    try:
        found: list[dict[str, Any]] = msgspec.to_builtins(getattr(machine.tables, table)(run_id, step))
    finally:
        machine.close()
    return found


def _only_step(opened: Kronos, run_id: RunId) -> str:
    from kronos.kernel.ids import StepName

    steps = opened.history.state_at(run_id).steps
    trading = [
        name for name, step in sorted(steps.items()) if opened.recordings.segments(run_id, StepName(name), step.attempt)
    ]
    if not trading:
        raise NotFound(f"run {run_id} has no step that recorded a journal", run_id=run_id)
    if len(trading) > 1:
        raise InvalidInput(f"run {run_id} has several trading steps, name one: {', '.join(trading)}", field="step")
    return trading[0]


def _shown(name: str, value: Any) -> Any:
    if value is None or value == "":
        return "–"
    return show_time(value) if name.endswith("_time_ns") or name == "time_ns" else value
