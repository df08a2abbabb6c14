"""`kronos state`: a run as of an event, or a trading step as of a market event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kronos.cli.output import print_fields, print_json, print_rows, show_time
from kronos.errors import InvalidInput

if TYPE_CHECKING:
    from kronos.app import Kronos
    from kronos.core.state import Run

__all__ = ["parse_position", "state"]


def state(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    position: Annotated[
        str | None, typer.Argument(metavar="STEP@row=N", help="A market event inside a trading step.")
    ] = None,
    *,
    seq: Annotated[int | None, typer.Option(min=0, help="The run as of this event; default: now.")] = None,
    working_tree: Annotated[
        bool, typer.Option("--working-tree", help="Variables by the code checked out here, not by that of the run.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The state of a run at an event, or portfolio and strategy variables of a step at a market event."""
    from kronos.kernel.ids import parse_run_id

    run_id = parse_run_id(run)
    place = None if position is None else parse_position(position)
    if position is not None and seq is not None:
        raise InvalidInput("--seq and STEP@row=N ask for two different positions: give one", field="seq", value=seq)
    from kronos.app import Kronos

    with Kronos.open() as opened:
        if place is not None:
            from kronos.cli.state_trading import print_trading_state

            print_trading_state(opened, run_id, *place, working_tree=working_tree, json=json)
            return
        found = opened.history.state_at(run_id, seq)
        steps = _steps(opened, found)
    fields = {
        "run_id": found.id,
        "seq": found.seq,
        "phase": found.phase.value,
        "started_at": show_time(found.started),
        "finished_at": show_time(found.finished),
        "failed_step": found.failed_step,
    }
    if json:
        print_json({**fields, "steps": steps})
        return
    print_fields(fields)
    print_rows(("step", "status", "attempt"), [(s["step"], _status(s), s["attempt"]) for s in steps])


def parse_position(text: str) -> tuple[str, int]:
    """Return ("backtest", 512) for `backtest@row=512`."""
    step, separator, place = text.rpartition("@")
    name, equals, number = place.partition("=")
    if not separator or name != "row" or not equals or not number.isdigit():
        raise InvalidInput(f"{text!r}: write a position as STEP@row=N, such as backtest@row=512", value=text)
    return step, int(number)


def _status(step: dict[str, Any]) -> str:
    return f"waiting ({step['waits_for']})" if step["waits_for"] else step["status"]


def _steps(opened: Kronos, run: Run) -> list[dict[str, Any]]:
    """Return every step of the graph as of the run's seq, those that have not begun included."""
    from kronos.core.inputs import steps_in_order
    from kronos.kernel import canonical

    graph = opened.history.definition(opened.history.run(run.id).definition).graph
    found = []
    for step in steps_in_order(graph, run.steps):
        known = run.steps.get(step)
        output = None if known is None else known.facts.output
        found.append(
            {
                "step": step,
                "status": "pending" if known is None else known.status.value,
                "waits_for": None if known is None else known.waits_for,
                "attempt": 0 if known is None else known.attempt,
                "output": canonical.decode(opened.history.payload(output)) if isinstance(output, bytes) else None,
                "failure": None if known is None else known.facts.failure,
            }
        )
    return found
