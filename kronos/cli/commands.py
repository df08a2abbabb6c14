"""Every command, by name."""

from __future__ import annotations

import typer

from kronos.cli.artifacts import artifacts
from kronos.cli.audit import audit
from kronos.cli.backtest import backtest
from kronos.cli.database import app as database
from kronos.cli.datasets import app as datasets
from kronos.cli.dead_letters import app as dead
from kronos.cli.demo import demo
from kronos.cli.exporting import export
from kronos.cli.jobs import app as jobs
from kronos.cli.nodes import nodes
from kronos.cli.queues import app as queues
from kronos.cli.recover import recover
from kronos.cli.replay import replay
from kronos.cli.retention import app as retention
from kronos.cli.runs import app as runs
from kronos.cli.runs import start
from kronos.cli.schedules import app as schedules
from kronos.cli.serving import dev, server, token, worker
from kronos.cli.state import state
from kronos.cli.tracing import trace
from kronos.cli.upkeep import doctor, fsck, sweep
from kronos.cli.workflows import app as workflows

__all__ = ["app"]

app = typer.Typer(
    help="Durable workflows over Postgres, and a time-travel debugger for trading runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    demo,
    dev,
    server,
    worker,
    token,
    start,
    state,
    replay,
    audit,
    backtest,
    artifacts,
    trace,
    fsck,
    recover,
    doctor,
    export,
):
    app.command()(command)
datasets.command()(sweep)
app.add_typer(runs, name="runs", help="What is on record of runs.")
app.command()(nodes)
app.add_typer(jobs, name="jobs", help="Calls of single steps: submit, look, cancel.")
app.add_typer(queues, name="queues", help="Where jobs wait: look, pause, limit.")
app.add_typer(dead, name="dead", help="What was given up: look, try again, discard.")
app.add_typer(schedules, name="schedules", help="Standing orders for runs, on cron time.")
app.add_typer(workflows, name="workflows", help="Versions, their open runs and workers; moving a run.")
app.add_typer(datasets, name="data", help="Market data: import, list, show.")
app.add_typer(retention, name="retention", help="How long histories are kept.")
app.add_typer(database, name="db", help="The embedded Postgres of this data folder.")
