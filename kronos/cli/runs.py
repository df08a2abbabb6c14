"""`kronos start` and `kronos runs`: over gRPC where `--address` is given, else straight from the database."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from kronos.cli.forks import add_forks
from kronos.cli.inputs import check_duration, read_input
from kronos.cli.messages import add_messages
from kronos.cli.options import Address, Json, RunArgument, Token, Where
from kronos.cli.output import note, print_fields, print_json, print_rows, text_of
from kronos.cli.tables import add_tables

__all__ = ["app", "start"]

app = typer.Typer(no_args_is_help=True)
add_tables(app)
add_forks(app)
add_messages(app)

FIELD_CHARS_MAX: Final = 600


def start(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of a registered workflow.")],
    *,
    run_input: Annotated[
        str, typer.Option("--input", metavar="JSON|@FILE", help="The run's input; @- reads stdin.")
    ] = "{}",
    version: Annotated[str, typer.Option(help="Default: the one registered last.")] = "",
    timeout: Annotated[str | None, typer.Option(help='How long the run may take, such as "10m".')] = None,
    retention: Annotated[str, typer.Option(help="The class that says how long it is kept.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; exit 1 unless it completes.")] = False,
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Start a run over gRPC; it is durable when its id is printed."""
    from kronos.cli.opening import server_client
    from kronos.cli.runs_source import run_fields

    text = read_input(run_input)
    with server_client(address, token) as client:
        run_id = client.start_json(
            workflow, text, version=version, timeout=check_duration(timeout, "timeout"), retention=retention
        )
        if not wait:
            print_json({"run_id": run_id}) if json else print(run_id)
            return
        note(f"run {run_id}")
        run = run_fields(client.result(run_id))
    print_json(run) if json else print_fields(run)
    if run["phase"] != "completed":
        sys.exit(1)


@app.command("list")
def list_runs(
    *,
    phase: Annotated[list[str] | None, typer.Option(help="Only runs in this phase; may be repeated.")] = None,
    workflow: Annotated[str, typer.Option(help="Only runs of this workflow.")] = "",
    where: Where = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    before: Annotated[str | None, typer.Option(metavar="RUN", help="Continue after this run.")] = None,
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Runs, newest first."""
    from kronos.cli.runs_source import source
    from kronos.core.attributes import parse_where

    with source(address, token) as runs:
        page, cursor = runs.page(
            phases=phase or [], workflow=workflow, where=parse_where(where or []), limit=limit, before=before
        )
    if json:
        print_json({"runs": page, "next": cursor})
        return
    titles = ("run", "workflow", "phase", "created", "seconds", "events")
    rows = [(r["run_id"], r["workflow"], r["phase"], r["created_at"], r["seconds"], r["events"]) for r in page]
    print_rows(titles, rows)
    if cursor is not None:
        note(f"more: kronos runs list --before {cursor}")


@app.command()
def show(run: RunArgument, address: Address = None, token: Token = None, json: Json = False) -> None:
    """One run: its phase, input, output or failure."""
    from kronos.cli.runs_source import source

    with source(address, token) as runs:
        found = runs.get(run)
    print_json(found) if json else print_fields({name: _in_short(value) for name, value in found.items()})


@app.command()
def events(
    run: RunArgument,
    after: Annotated[int, typer.Option(min=0, help="Only what follows this seq.")] = 0,
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """A run's history, fact by fact."""
    from kronos.cli.runs_source import source

    with source(address, token) as runs:
        found = runs.events(run, after)
    if json:
        print_json(found)
        return
    rows = [(e["seq"], e["at"], e["kind"], e["step"] or "–", e["attempt"] or "–") for e in found]
    print_rows(("seq", "at", "event", "step", "attempt"), rows)


def _in_short(value: object) -> object:
    """Return what fits a terminal; `--json` prints the whole."""
    text = text_of(value)
    if len(text) <= FIELD_CHARS_MAX:
        return value
    return f"{text[:FIELD_CHARS_MAX]}… ({len(text):,} characters; --json prints them all)"
