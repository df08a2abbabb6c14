"""`kronos audit`: whether a strategy reads the future, over a file of bars."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kronos.cli.datasets import pairs, read_decimal
from kronos.cli.output import note, print_fields, print_json

__all__ = ["audit"]


def audit(
    *,
    data: Annotated[Path, typer.Option("--data", metavar="FILE", help="A file of bars.")],
    strategy: Annotated[str, typer.Option("--strategy", metavar="MODULE:CLASS", help="The strategy's class.")],
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
    """Put other futures behind a strategy's past decisions; exit with 1 where one of them moves."""
    from kronos.app.auditing import audit as audited
    from kronos.market.readers import read_table
    from kronos.market.strategies import find_strategy
    from kronos.trading.strategy import params_from_text

    kind = find_strategy(strategy)
    found = audited(
        read_table(data)[0],
        kind,
        params=params_from_text(kind, pairs(settings or [], "--set")),
        cash=read_decimal(cash, "--cash") or 0,
        fee_rate=read_decimal(fee, "--fee") or 0,
        mapping=pairs(mapping or [], "--map") or None,
        tick=read_decimal(tick, "--tick"),
        gaps=gaps,
        long_only=not short,
        check_cash=not overdraw,
    )
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
