"""`kronos trace`: where a trade's money came from."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from kronos.cli.artifacts import trading_step
from kronos.cli.options import Json
from kronos.cli.output import note, print_fields, print_json, print_rows

__all__ = ["trace"]

_CARRIED = frozenset({"row", "sub", "origin", "causes", "instrument"})


def trace(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    trade: Annotated[int, typer.Argument(metavar="TRADE", min=1, help="Its number, as in the table of trades.")],
    *,
    step: Annotated[str | None, typer.Option(help="The trading step; default: the only one.")] = None,
    json: Json = False,
) -> None:
    """A trade's profit, back over fill, order, risk decision and intent to the market event that was seen."""
    from kronos.app import Kronos
    from kronos.kernel.ids import parse_run_id
    from kronos.trading.tracing import trace_trade

    run_id = parse_run_id(run)
    with Kronos.open() as app:
        machine = app.machine()
        try:
            found = trace_trade(machine.tables.ledger(run_id, trading_step(machine, run_id, step)), trade)
        finally:
            machine.close()
    if json:
        print_json({"trade": found.trade, "entry": _rows(found.entry), "exit": _rows(found.exit)})
        return
    print_fields(msgspec.structs.asdict(found.trade))
    for name, links in (("entry", found.entry), ("exit", found.exit)):
        if links:
            print()
            note(name)
            print_rows(
                ("", "row", "sub", "what", "facts"),
                [(each["depth"], each["row"], each["sub"], each["kind"], each["facts"]) for each in _rows(links)],
            )


def _rows(links: list[Any]) -> list[dict[str, Any]]:
    return [
        {
            "depth": link.depth,
            "row": link.position.row,
            "sub": link.position.sub,
            "kind": link.kind,
            "causes": [tuple(at) for at in link.causes],
            "facts": {} if link.record is None else _facts(link.record),
        }
        for link in links
    ]


def _facts(record: Any) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in record.__struct_fields__ if name not in _CARRIED}
    return {name: msgspec.to_builtins(value) for name, value in values.items() if value not in ("", None)}
