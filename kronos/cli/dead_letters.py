"""`kronos dead`: over gRPC with `--address`, else straight from the database."""

from __future__ import annotations

from typing import Annotated

import typer

from kronos.cli.jobs_source import job_fields, jobs_source
from kronos.cli.options import Address, Json, Token
from kronos.cli.output import note, print_fields, print_json, print_rows

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)

Letters = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Dead letters; or use --error, --what.")]
Error = Annotated[str, typer.Option(help="All that met this error, such as ConnectionError.")]
What = Annotated[str, typer.Option(help="All of this target or workflow.")]


@app.command("list")
def list_dead(
    *,
    error: Error = "",
    what: What = "",
    by_error: Annotated[bool, typer.Option("--by-error", help="Count them by what they are and their error.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """What was given up and waits for a decision, jobs and runs, newest first."""
    with jobs_source(address, token) as source:
        letters = source.dead_letters
        found = letters.groups() if by_error else source.list_dead(error=error, what=what, limit=limit)
    rows = [each if isinstance(each, dict) else job_fields(each) for each in found]
    if json:
        print_json(rows)
        return
    if by_error:
        titles: tuple[str, ...] = ("count", "kind", "what", "error")
        print_rows(titles, [[row[title] for title in titles] for row in rows])
        return
    print_rows(
        ("id", "kind", "what", "attempt", "error", "at"),
        [(r["id"], r["kind"], r["what"], r["attempt"], r["failure"]["type"], r["at"]) for r in rows],
    )


@app.command("show")
def show_dead(
    letter: Annotated[str, typer.Argument(metavar="ID")],
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """One dead letter: what it was, and how it failed the last time."""
    with jobs_source(address, token) as source:
        found = job_fields(source.dead_letters.get(letter))
    print_json(found) if json else print_fields(found)


@app.command()
def requeue(
    letters: Letters = None,
    *,
    error: Error = "",
    what: What = "",
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Try again; a job goes on under its own id, a run under that of a successor."""
    with jobs_source(address, token) as source:
        decided = source.dead_letters.requeue(letters or [], error=error or None, what=what or None)
    print_json(decided) if json else print_rows(("dead", "goes on as"), list(decided.items()))


@app.command()
def discard(
    letters: Letters = None,
    *,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    error: Error = "",
    what: What = "",
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Give up for good."""
    with jobs_source(address, token) as source:
        gone = source.dead_letters.discard(letters or [], reason=reason, error=error or None, what=what or None)
    print_json(gone) if json else note(f"{len(gone)} discarded")
