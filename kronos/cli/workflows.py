"""`kronos workflows`: which versions have open runs, who serves them, and moving a run to another."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kronos.cli.options import Json
from kronos.cli.output import note, print_json, print_rows

if TYPE_CHECKING:
    from kronos.app.workflows import Version

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)

ID_CHARS = 12


@app.command("list")
def list_workflows(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also versions without open runs or workers.")] = False,
    json: Json = False,
) -> None:
    """Versions that have open runs or workers, and the newest of each workflow."""
    from kronos.app import Kronos

    with Kronos.open() as opened:
        found = opened.workflows.versions()
    newest = {each.workflow: each.id for each in reversed(found)}
    shown = [each for each in found if everything or each.open or each.workers or newest[each.workflow] == each.id]
    _print(shown, json=json)


@app.command()
def show(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Its name.")],
    json: Json = False,
) -> None:
    """Every version of one workflow: its open runs, and the workers that serve it."""
    from kronos.app import Kronos

    with Kronos.open() as opened:
        found = opened.workflows.versions(workflow)
    _print(found, json=json)


@app.command()
def adopt(
    run: Annotated[str, typer.Argument(metavar="RUN", help="An open run that no worker holds.")],
    *,
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="A version, or the beginning of its id.")],
    reason: Annotated[str, typer.Option(help="Kept in the run's history.")] = "",
) -> None:
    """Let a run go on under another version; refused, with the reason, where its history does not fit."""
    from kronos.app import Kronos
    from kronos.kernel.ids import parse_run_id

    with Kronos.open() as opened:
        new = opened.workflows.adopt(parse_run_id(run), to, by=getpass.getuser(), reason=reason)
        served = any(each.id == new.id and each.workers for each in opened.workflows.versions(new.workflow))
    note(f"run {run} goes on as {new.workflow} {new.version} ({new.id[:ID_CHARS]})")
    if not served:
        note("no worker serves that version now: the run waits for one")


def _print(found: list[Version], *, json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "workflow": each.workflow,
            "version": each.version,
            "id": each.id,
            "registered": each.created_at.isoformat(timespec="seconds"),
            "pending": each.pending,
            "running": each.running,
            "waiting": each.waiting,
            "workers": list(each.workers),
        }
        for each in found
    ]
    if json:
        print_json(rows)
        return
    titles = ("workflow", "version", "id", "registered", "pending", "running", "waiting", "workers")
    lines = [row | {"id": row["id"][:ID_CHARS], "workers": ", ".join(row["workers"]) or None} for row in rows]
    print_rows(titles, [[line[title] for title in titles] for line in lines])
