"""`kronos audit`: whether a strategy reads the future, over a file of bars or the data of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kronos.cli.artifacts import trading_step
from kronos.cli.datasets import pairs, read_decimal
from kronos.cli.output import note, print_fields, print_json
from kronos.errors import InvalidInput

if TYPE_CHECKING:
    from kronos.trading.audit import Audit

__all__ = ["audit"]


def audit(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run's id, in the place of --data.")] = None,
    *,
    step: Annotated[str | None, typer.Option(help="The trading step of RUN; default: the only one.")] = None,
    data: Annotated[Path | None, typer.Option("--data", metavar="FILE", help="A file of bars.")] = None,
    strategy: Annotated[
        str | None, typer.Option("--strategy", metavar="MODULE:CLASS", help="The strategy's class.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter; may be repeated.")
    ] = None,
    cash: Annotated[str, typer.Option(help="At the start.")] = "1000000",
    fee: Annotated[str, typer.Option(help="A side, as a fraction: 0.001 is 0.1 %.")] = "0",
    mapping: Annotated[list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="For the file.")] = None,
    tick: Annotated[str | None, typer.Option(help="Price step of the file.")] = None,
    gaps: Annotated[str, typer.Option(help="refuse or accept.")] = "refuse",
    short: Annotated[bool, typer.Option("--short", help="Allow positions below zero.")] = False,
    overdraw: Annotated[bool, typer.Option("--overdraw", help="Do not refuse buys that exceed the cash.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Put other futures behind past decisions, of a file's strategy or of a RUN's; exit with 1 where one moves."""
    if run is not None:
        if data is not None or strategy is not None or settings:
            raise InvalidInput("RUN has its own data and strategies: leave out --data, --strategy, --set", field="run")
        found = _of_run(run, step)
    elif data is None or strategy is None:
        raise InvalidInput("give --data FILE and --strategy MODULE:CLASS, or the id of a RUN", field="data")
    else:
        found = _of_file(
            data, strategy, pairs(settings or [], "--set"),
            cash=read_decimal(cash, "--cash") or 0,
            fee_rate=read_decimal(fee, "--fee") or 0,
            mapping=pairs(mapping or [], "--map") or None,
            tick=read_decimal(tick, "--tick"),
            gaps=gaps,
            long_only=not short,
            check_cash=not overdraw,
        )  # fmt: skip
    if json:
        print_json({"clean": found.is_clean, "rows": found.rows, "cuts": found.cuts, "replayed": found.replayed,
                    "readings": [str(each) for each in found.readings], "opened": list(found.opened),
                    "unrepeated": found.unrepeated, "note": found.note})  # fmt: skip
    else:
        print_fields({"rows": found.rows, "cuts": found.cuts, "made again": f"{found.replayed} rows",
                      "findings": len(found.findings)})  # fmt: skip
        for line in found.findings:
            print(line)
        if found.note:
            note(found.note)
    if not found.is_clean:
        sys.exit(1)


def _of_file(data: Path, strategy: str, parameters: dict[str, str], **settings: Any) -> Audit:
    from kronos.app.auditing import audit as audited
    from kronos.market.readers import read_table
    from kronos.market.strategies import find_strategy
    from kronos.trading.strategy import params_from_text

    kind = find_strategy(strategy)
    return audited(read_table(data)[0], kind, params=params_from_text(kind, parameters), **settings)


def _of_run(run: str, step: str | None) -> Audit:
    """Audit what a run's step was given, with the strategies as they are here; say where they decide otherwise."""
    from kronos.app import Kronos
    from kronos.app.auditing import audit_plan
    from kronos.kernel.ids import parse_run_id

    run_id = parse_run_id(run)
    with Kronos.open() as app:
        machine = app.machine()
        try:
            traded = machine.steps.find(run_id, trading_step(machine, run_id, step))
        finally:
            machine.close()
        found = audit_plan(app.catalog, traded.datasets, traded.plan)
    recorded = traded.journal.refs[-1].core_chain.hex() if traded.journal.refs else ""
    if found.core_chain != recorded:
        note(f"the strategies here decide otherwise than on record (core chain {recorded[:12]}): these were audited")
    return found
