"""`kronos runs signal | approve | reject | pause | resume | query | cancel`: over gRPC where `--address` is given."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from kronos.cli.inputs import read_input
from kronos.cli.opening import opened
from kronos.cli.options import Address, Json, RunArgument, Token, Where
from kronos.cli.output import note, print_json, print_rows
from kronos.errors import InvalidInput

__all__ = ["add_messages"]

StepArgument = Annotated[str, typer.Argument(metavar="STEP", help="Default: the only approval that it waits for.")]
Reason = Annotated[str, typer.Option(help="Kept in the run's history.")]
By = Annotated[str, typer.Option(help="Who says so; default: your user name.")]


def add_messages(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (signal, approve, reject, pause, resume, query, cancel):
        app.command()(command)


def signal(
    run: RunArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the workflow waits for.")],
    value: Annotated[str, typer.Argument(metavar="JSON|@FILE", help="What it says; @- reads stdin.")] = "null",
    *,
    key: Annotated[str, typer.Option(help="With the same key it counts once, however often it is sent.")] = "",
    by: By = "",
    address: Address = None,
    token: Token = None,
) -> None:
    """Send a run a message."""
    said = _value(read_input(value, "VALUE"))
    with _speaker(address, token) as speaker:
        speaker.signal(_id(run), name, said, by=by or getpass.getuser(), key=key)
    note(f"run {run} is told {name!r}")


def approve(
    run: RunArgument,
    step: StepArgument = "",
    *,
    reason: Reason = "",
    by: By = "",
    address: Address = None,
    token: Token = None,
) -> None:
    """Approve what a run waits for."""
    with _speaker(address, token) as speaker:
        chosen = speaker.approve(_id(run), step, by=by or getpass.getuser(), reason=reason)
    note(f"{chosen!r} of run {run} is approved")


def reject(
    run: RunArgument,
    step: StepArgument = "",
    *,
    reason: Reason = "",
    by: By = "",
    address: Address = None,
    token: Token = None,
) -> None:
    """Reject what a run waits for."""
    with _speaker(address, token) as speaker:
        chosen = speaker.reject(_id(run), step, by=by or getpass.getuser(), reason=reason)
    note(f"{chosen!r} of run {run} is rejected")


def pause(run: RunArgument, *, reason: Reason = "", by: By = "", address: Address = None, token: Token = None) -> None:
    """Let a run begin nothing new; what runs may end."""
    with _speaker(address, token) as speaker:
        speaker.pause(_id(run), by=by or getpass.getuser(), reason=reason)
    note(f"run {run} is asked to hold")


def resume(run: RunArgument, *, reason: Reason = "", by: By = "", address: Address = None, token: Token = None) -> None:
    """Let a paused run go on."""
    with _speaker(address, token) as speaker:
        speaker.resume(_id(run), by=by or getpass.getuser(), reason=reason)
    note(f"run {run} is asked to go on")


def query(
    run: RunArgument,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="steps, approvals, signals, attributes, costs, pause, progress, or its own."
        ),
    ],
    *,
    address: Address = None,
    token: Token = None,
) -> None:
    """Ask a run something; the run does not notice.  A workflow's own queries need its code: ask where it is served."""
    with _speaker(address, token) as speaker:
        print_json(speaker.query(_id(run), name))


def cancel(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id; left out with --where.")] = "",
    *,
    where: Where = None,
    workflow: Annotated[str, typer.Option(help="With --where or alone: only runs of this workflow.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the runs.")] = False,
    reason: Reason = "",
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Ask for the end of a run, or of every open run that fits."""
    from kronos.cli.runs_source import source
    from kronos.core.attributes import parse_where

    conditions = parse_where(where or [])
    if bool(run) == bool(conditions or workflow):
        raise InvalidInput("give a RUN, or --where (or --workflow) for many", field="run", value=run)
    if run:
        if dry_run:
            raise InvalidInput("--dry-run counts the runs of --where: leave it out with one RUN", field="dry_run")
        with source(address, token) as runs:
            runs.cancel(run, reason)
        note(f"run {run} is asked to end")
        return
    with _speaker(address, token) as speaker:
        report = _cancel_all(speaker, conditions, workflow, reason=reason, dry_run=dry_run)
    fields = {"matched": report.matched, "asked": report.asked, "ended_meanwhile": report.ended_meanwhile}
    print_json(fields) if json else print_rows(tuple(fields), [tuple(fields.values())])


def _cancel_all(speaker: Any, conditions: dict[str, str], workflow: str, *, reason: str, dry_run: bool) -> Any:
    from kronos.app import Kronos
    from kronos.ports.history import RunFilter

    by = getpass.getuser()
    if not isinstance(speaker, Kronos):
        return speaker.cancel_all(where=conditions, workflow=workflow, reason=reason, by=by, dry_run=dry_run)
    chosen = RunFilter(workflow=workflow or None, where=conditions)
    return speaker.cancel_all(
        chosen,
        reason=reason,
        by=by,
        dry_run=dry_run,
        on_progress=lambda done, total: note(f"{done:,} of {total:,}"),
    )


@contextmanager
def _speaker(address: str | None, token: str | None) -> Iterator[Any]:
    """Yield what speaks to runs: the database's own access, or a server's client; both say the same words."""
    with opened(address, token) as place:
        yield place if address is None else place.messages


def _id(run: str) -> Any:
    from kronos.kernel.ids import parse_run_id

    return parse_run_id(run)


def _value(text: str) -> Any:
    from kronos.kernel import canonical

    return canonical.decode(text.encode())
