"""`kronos queues`: over gRPC with `--address`, else straight from the database."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from kronos.cli.jobs_source import job_fields, jobs_source
from kronos.cli.options import Address, Json, Token
from kronos.cli.output import note, print_fields, print_json, print_rows
from kronos.errors import InvalidInput

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)

Queue = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]
_RATE = re.compile(r"(\d+)/(\d*(?:ms|s|m|h|d))")


@app.command("list")
def list_queues(address: Address = None, token: Token = None, json: Json = False) -> None:
    """Every queue with open jobs or settings."""
    with jobs_source(address, token) as source:
        rows = [job_fields(each) for each in source.queues.list()]
    if json:
        print_json(rows)
        return
    titles = ("name", "paused", "pending", "delayed", "running", "dead", "concurrency", "key_concurrency", "rate")
    print_rows(titles, [[row[title] for title in titles] for row in rows])


@app.command("show")
def show_queue(queue: Queue, address: Address = None, token: Token = None, json: Json = False) -> None:
    """One queue: its limits, where its jobs stand, and each of its keys."""
    with jobs_source(address, token) as source:
        found = job_fields(source.queues.get(queue))
        keys = source.keys(queue)
    found.pop("keys", None)
    if json:
        print_json(found | {"keys": [{"key": k, "pending": p, "running": r} for k, p, r in keys]})
        return
    print_fields(found)
    if keys:
        print()
        print_rows(("key", "pending", "running"), keys)


@app.command()
def pause(queue: Queue, address: Address = None, token: Token = None) -> None:
    """Let nothing more begin; what runs goes on."""
    import getpass

    with jobs_source(address, token) as source:
        was_known = any(each.name == queue for each in source.queues.list())
        source.queues.pause(queue, by=getpass.getuser())
    ahead = "" if was_known else ": nothing of that name is known yet, and what comes will wait"
    note(f"queue {queue} is paused{ahead}")


@app.command()
def resume(queue: Queue, address: Address = None, token: Token = None) -> None:
    """Go on."""
    with jobs_source(address, token) as source:
        pending = source.queues.resume(queue).pending
    note(f"queue {queue} goes on with {pending} jobs")


@app.command()
def limit(
    queue: Queue,
    *,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Jobs at once, over all workers.")] = None,
    per_key: Annotated[int | None, typer.Option(min=1, help="Jobs of one key at once.")] = None,
    rate: Annotated[
        str, typer.Option(metavar="N/PERIOD", help="Jobs claimed in any period, such as 100/s or 5/10m.")
    ] = "",
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Set the limits of a queue; those that are not given are taken away."""
    count, period = _rate(rate)
    with jobs_source(address, token) as source:
        found = job_fields(
            source.queues.limit(queue, concurrency=concurrency, key_concurrency=per_key, rate=count, per=period)
        )
    print_json(found) if json else print_fields(found)


def _rate(text: str) -> tuple[int | None, str]:
    if not text:
        return None, "1s"
    match = _RATE.fullmatch(text)
    if match is None:
        raise InvalidInput(f"--rate {text!r}: write it as 100/s or 5/10m", field="rate", value=text)
    return int(match[1]), match[2] if match[2][0].isdigit() else f"1{match[2]}"
