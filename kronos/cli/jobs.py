"""`kronos jobs`: over gRPC with `--address`, else straight from the database."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from kronos.cli.inputs import read_input
from kronos.cli.jobs_source import job_fields, jobs_source
from kronos.cli.options import Address, Json, Token
from kronos.cli.output import note, print_fields, print_json, print_rows

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)

Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]


@app.command()
def submit(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="module:name of a step that a worker serves.")],
    arguments: Annotated[str, typer.Argument(metavar="JSON|@FILE", help="The arguments by name.")] = "{}",
    *,
    queue: Annotated[str, typer.Option(help='Default: the step\'s own, or "default".')] = "",
    key: Annotated[str, typer.Option(help="What limits and fairness count by.")] = "",
    priority: Annotated[int, typer.Option(min=1, max=10, help="10 goes first.")] = 5,
    delay: Annotated[str, typer.Option(help='Not before this has passed, such as "10m".')] = "",
    deadline: Annotated[str, typer.Option(help="What has not begun within this expires.")] = "",
    idempotency_key: Annotated[str, typer.Option(help="One key, one job.")] = "",
    keep: Annotated[str, typer.Option(help="How long it is kept after its end.")] = "7d",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; exit 1 unless it completes.")] = False,
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Ask for one call of a step; it is durable when its id is printed."""
    options: dict[str, Any] = {
        "queue": queue or None,
        "key": key,
        "priority": priority,
        "delay": delay or None,
        "deadline": deadline or None,
        "idempotency_key": idempotency_key or None,
        "keep": keep,
    }
    with jobs_source(address, token) as source:
        made = source.jobs.submit_json(target, read_input(arguments, "ARGUMENTS"), **options)
        job_id = made if isinstance(made, str) else made.id
        if not wait:
            print_json({"job_id": job_id}) if json else print(job_id)
            return
        note(f"job {job_id}")
        ended = job_fields(source.jobs.wait(job_id))
    print_json(ended) if json else print_fields(ended)
    if ended["state"] != "completed":
        sys.exit(1)


@app.command("list")
def list_jobs(
    *,
    queue: Annotated[str, typer.Option(help="Only of this queue.")] = "",
    state: Annotated[list[str] | None, typer.Option(help="Only in this state; may be repeated.")] = None,
    target: Annotated[str, typer.Option(help="Only calls of this step.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    before: Annotated[str, typer.Option(metavar="JOB", help="Continue after this job.")] = "",
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Jobs, newest first."""
    with jobs_source(address, token) as source:
        found = source.list_jobs(queue=queue, states=state or (), target=target, limit=limit, before=before)
    rows = [job_fields(each) for each in found]
    if json:
        print_json(rows)
        return
    titles = ("id", "target", "queue", "priority", "state", "attempt", "created_at")
    print_rows(titles, [[row[title] for title in titles] for row in rows])


@app.command()
def show(job: Job, address: Address = None, token: Token = None, json: Json = False) -> None:
    """One job: its state, arguments, result or failure."""
    with jobs_source(address, token) as source:
        found = job_fields(source.jobs.get(job))
    print_json(found) if json else print_fields(found)


@app.command()
def cancel(
    job: Job,
    reason: Annotated[str, typer.Option(help="Kept with the job.")] = "",
    address: Address = None,
    token: Token = None,
) -> None:
    """End a job that waits; ask for the end of one that runs."""
    with jobs_source(address, token) as source:
        state = source.jobs.cancel(job, reason=reason).state
    note(f"job {job} is {state}" if state == "cancelled" else f"job {job} is asked to end")
