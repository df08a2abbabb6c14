"""`kronos backtest`: one backtest as a durable run, from a file or a dataset."""

from __future__ import annotations

import sys
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kronos.cli.datasets import instant, pairs, read_decimal
from kronos.cli.output import note, print_fields, print_json, print_rows, show_time
from kronos.cli.sessions import WORKFLOW as SESSION
from kronos.cli.sessions import latencies, print_mishaps, print_session, session_request
from kronos.errors import InvalidInput

if TYPE_CHECKING:
    from kronos.app import Kronos
    from kronos.market import Dataset

__all__ = ["backtest"]

WORKFLOW: Final = "backtest"
TRADES_SHOWN: Final = 10


def backtest(
    *,
    data: Annotated[
        list[str],
        typer.Option("--data", metavar="FILE|DATASET", help="A file of bars, a dataset; or several."),
    ],
    strategy: Annotated[
        list[str], typer.Option("--strategy", metavar="MODULE:CLASS", help="The strategy's class; may be repeated.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter, or CLASS.NAME; repeated."),
    ] = None,
    cash: Annotated[str, typer.Option(help="At the start.")] = "1000000",
    fee: Annotated[str, typer.Option(help="A side, as a fraction: 0.001 is 0.1 %.")] = "0",
    since: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="First bar of all, ISO 8601 in UTC.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Before this bar of all, ISO 8601.")] = None,
    mapping: Annotated[list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="For a file.")] = None,
    tick: Annotated[str | None, typer.Option(help="Price step of a file.")] = None,
    gaps: Annotated[str, typer.Option(help="For a file: refuse or accept.")] = "refuse",
    short: Annotated[bool, typer.Option("--short", help="Allow positions below zero.")] = False,
    latency: Annotated[
        list[str] | None, typer.Option("--latency", metavar="NAME=TIME", help="feed, order, report: 5ms; repeated.")
    ] = None,
    dividends: Annotated[bool, typer.Option("--dividends", help="Credit the dividends of the datasets.")] = False,
    sink: Annotated[
        list[str] | None, typer.Option("--sink", metavar="MODULE:FUNCTION", help="Is given the fills; repeated.")
    ] = None,
    overdraw: Annotated[bool, typer.Option("--overdraw", help="Do not refuse buys that exceed the cash.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a strategy over bars and print result, trades and hashes."""
    from kronos.app import Kronos
    from kronos.market.actions import dividend_payments
    from kronos.market.plans import plan_from_text
    from kronos.trading.config import BacktestConfig
    from kronos.trading.session_config import AccountConfig, Latency, SessionConfig

    chosen = pairs(settings or [], "--set")
    money, rate = read_decimal(cash, "--cash"), read_decimal(fee, "--fee")
    assert money is not None, "a text was given"
    assert rate is not None, "a text was given"
    delays = latencies(pairs(latency or [], "--latency"))
    with Kronos.open(workflows=["kronos.flows.backtest", "kronos.flows.session"]) as opened:
        datasets = [_dataset(opened, each, _options(each, mapping, tick, gaps)) for each in data]
        paid = [each for found in datasets if dividends for each in dividend_payments(opened.catalog.manifest(found))]
        common: dict[str, Any] = {
            "payments": tuple(paid),
            "fee_rate": rate,
            "long_only": not short,
            "check_cash": not overdraw,
        }
        common["first_row"], common["stop_row"] = _rows(opened, datasets, since, until)
        if len(datasets) + len(strategy) > 2 or delays:
            config = SessionConfig(accounts=(AccountConfig(cash={"USD": money}),), latency=Latency(**delays), **common)
            request = session_request(datasets, strategy, chosen, config, sinks=_sinks(sink))
            found = _run(opened, SESSION, request)
        else:
            single = BacktestConfig(cash=money, **common)
            plan = plan_from_text(strategy[0], chosen, single, sinks=_sinks(sink))
            found = _run(opened, WORKFLOW, {"dataset": f"{datasets[0].name}@{datasets[0].id}", "plan": plan})
    print_json(found) if json else _print(found)
    if found["status"] != "completed":
        sys.exit(1)


def _sinks(names: list[str] | None) -> tuple[str, ...]:
    from kronos.flows.sinks import find_sink

    for name in names or ():
        find_sink(name)
    return tuple(names or ())


def _options(data: str, mapping: list[str] | None, tick: str | None, gaps: str) -> Any:
    from kronos.market import ImportOptions

    name = Path(data).stem
    return ImportOptions(
        name=name,
        instrument=name,
        mapping=pairs(mapping or [], "--map") or None,
        tick=read_decimal(tick, "--tick"),
        gaps=gaps,  # type: ignore[arg-type]  # checked by ImportOptions, in our words
    )


def _dataset(opened: Kronos, data: str, options: Any) -> Dataset:
    """Return the dataset of that name, or of the file, which is imported (the same bytes are the same dataset)."""
    from kronos.cli.progress import progress_bar

    path = Path(data)
    if not path.is_file():
        return opened.catalog.find(data)
    with progress_bar(f"importing {path.name}") as advance:
        return opened.catalog.import_file(path, options, progress=advance).dataset


def _rows(opened: Kronos, datasets: list[Dataset], since: str | None, until: str | None) -> tuple[int, int | None]:
    """Return the rows of all datasets together that lie between two dates."""
    from kronos.market.session_plans import rows_between

    begin = None if since is None else instant(since, "--from")
    end = None if until is None else instant(until, "--to")
    found = rows_between([opened.catalog.stream(each) for each in datasets], begin, end)
    if found == (0, 0):
        names = ", ".join(each.name for each in datasets)
        given = " ".join(f"{name} {text}" for name, text in (("--from", since), ("--to", until)) if text is not None)
        raise InvalidInput(f"{given}: no bar of {names} lies there", field="--from", value=since)
    return found


def _run(opened: Kronos, workflow: str, request: dict[str, Any]) -> dict[str, Any]:
    from kronos.cli.demo import replay_command
    from kronos.kernel import canonical

    working = opened.worker().start()
    try:
        run_id = opened.start(workflow, request)
        note(f"run {run_id} started")
        run = opened.wait(run_id)
    finally:
        working.stop(10.0)
    result = None if run.output is None else canonical.decode(opened.history.payload(run.output))
    failure = run.failure
    return {
        "run_id": run.id,
        "workflow": run.workflow,
        "status": run.phase.value,
        "seconds": round(((run.finished_at or 0) - run.created_at) / 1e9, 3),
        "events": run.head_seq,
        "result": result,
        "failure": None
        if failure is None
        else {"step": run.failed_step, "type": failure.type, "message": failure.message},
        "replay_command": replay_command(run.id, opened.settings),
    }


def _print(found: dict[str, Any]) -> None:
    result, failure = found["result"], found["failure"]
    print_fields({key: found[key] for key in ("run_id", "status", "seconds")})
    if failure is not None:
        note(f"step {failure['step']} failed: {failure['type']}: {failure['message']}")
    if found["workflow"] == SESSION and result is not None:
        print_session(result)
    elif result is not None:
        hidden = ("trades", "curve", "statistics", "analysis", "refused")
        print_fields({key: value for key, value in result.items() if key not in hidden})
        print()
    if result is not None:
        print_mishaps(result)
        print_fields(result["analysis"]["statistics"])
        print()
        _print_analysis(result["analysis"])
        _print_trades(result["trades"])
    print_fields({"replay": found["replay_command"]})


def _print_analysis(analysis: dict[str, Any]) -> None:
    for part in ("risk", "trades", "shortfall"):
        note(part)
        print_fields(analysis[part])
        print()
    note(f"the run at other costs; {break_even(analysis['break_even_bps'])}")
    if not isnan(analysis["break_even_bps"]):
        titles = list(analysis["costs"][0])
        print_rows(titles, [[level[title] for title in titles] for level in analysis["costs"]])
    print()


def break_even(bps: float) -> str:
    """Return what fees would make of a run that earns `bps` a side of what it traded (nan: it traded nothing)."""
    if isnan(bps):
        return "nothing was traded, so they change nothing"
    if bps < 0:
        return f"without any it loses {-bps:.2f} bps a side"
    return f"fees of {bps:.2f} bps a side would eat it up"


def _print_trades(trades: list[dict[str, Any]]) -> None:
    if not trades:
        note("no trades")
        return
    titles = list(trades[0])
    shown = trades[-TRADES_SHOWN:]
    print_rows(titles, [[_cell(title, trade[title]) for title in titles] for trade in shown])
    if len(trades) > len(shown):
        note(f"the last {len(shown)} of {len(trades)} trades; --json prints all")


def _cell(title: str, value: Any) -> Any:
    return show_time(value) if title.endswith("_ns") and isinstance(value, int) else value
