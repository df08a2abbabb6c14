"""Every command, by name."""

from __future__ import annotations

import typer

from kronos.cli import backtest, database, datasets, demo, replay, runs, serving, state

__all__ = ["app"]

app = typer.Typer(
    help="Durable workflows over Postgres, and a time-travel debugger for trading runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("demo")(demo.demo)
app.command("dev")(serving.dev)
app.command("server")(serving.server)
app.command("worker")(serving.worker)
app.command("token")(serving.token)
app.command("start")(runs.start)
app.add_typer(runs.app, name="runs", help="What is on record of runs.")
app.command("state")(state.state)
app.command("replay")(replay.replay)
app.command("backtest")(backtest.backtest)
app.add_typer(datasets.app, name="data", help="Market data: import, list, show.")
app.add_typer(database.app, name="db", help="The embedded Postgres of this data folder.")
