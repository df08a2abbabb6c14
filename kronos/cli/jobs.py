"""`kronos jobs`, `kronos queues`, `kronos dead`: over gRPC with `--address`, else straight from the database."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
import typer

from kronos.cli.inputs import read_input
from kronos.cli.output import note, print_fields, print_json, print_rows, show_time
from kronos.errors import InvalidInput

__all__ = ["dead", "jobs", "queues"]

jobs = typer.Typer(no_args_is_help=True)
queues = typer.Typer(no_args_is_help=True)
dead = typer.Typer(no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
Queue = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]
Letters = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Dead letters; or use --error, --what.")]
Error = Annotated[str, typer.Option(help="All that met this error, such as ConnectionError.")]
What = Annotated[str, typer.Option(help="All of this target or workflow.")]
Address = Annotated[
    str | None, typer.Option("--address", metavar="HOST:PORT", help="Ask this server over gRPC, not the database.")
]
Token = Annotated[str | None, typer.Option("--token", help="For --address; default: that of this data folder.")]
_RATE = re.compile(r"(\d+)/(\d*(?:ms|s|m|h|d))")


@jobs.command()
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
    with _opened(address, token) as opened:
        made = opened.jobs.submit_json(target, read_input(arguments), **options)
        job_id = made if isinstance(made, str) else made.id
        if not wait:
            print_json({"job_id": job_id}) if json else print(job_id)
            return
        note(f"job {job_id}")
        ended = _fields(opened.jobs.wait(job_id))
    print_json(ended) if json else print_fields(ended)
    if ended["state"] != "completed":
        sys.exit(1)


@jobs.command("list")
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
    with _opened(address, token) as opened:
        found = opened.list_jobs(queue=queue, states=state or (), target=target, limit=limit, before=before)
    rows = [_fields(each) for each in found]
    if json:
        print_json(rows)
        return
    titles = ("id", "target", "queue", "priority", "state", "attempt", "created_at")
    print_rows(titles, [[row[title] for title in titles] for row in rows])


@jobs.command()
def show(job: Job, address: Address = None, token: Token = None, json: Json = False) -> None:
    """One job: its state, arguments, result or failure."""
    with _opened(address, token) as opened:
        found = _fields(opened.jobs.get(job))
    print_json(found) if json else print_fields(found)


@jobs.command()
def cancel(
    job: Job,
    reason: Annotated[str, typer.Option(help="Kept with the job.")] = "",
    address: Address = None,
    token: Token = None,
) -> None:
    """End a job that waits; ask for the end of one that runs."""
    with _opened(address, token) as opened:
        state = opened.jobs.cancel(job, reason=reason).state
    note(f"job {job} is {state}" if state == "cancelled" else f"job {job} is asked to end")


@queues.command("list")
def list_queues(address: Address = None, token: Token = None, json: Json = False) -> None:
    """Every queue with open jobs or settings."""
    with _opened(address, token) as opened:
        rows = [_fields(each) for each in opened.queues.list()]
    if json:
        print_json(rows)
        return
    titles = ("name", "paused", "pending", "delayed", "running", "dead", "concurrency", "key_concurrency", "rate")
    print_rows(titles, [[row[title] for title in titles] for row in rows])


@queues.command("show")
def show_queue(queue: Queue, address: Address = None, token: Token = None, json: Json = False) -> None:
    """One queue: its limits, where its jobs stand, and each of its keys."""
    with _opened(address, token) as opened:
        found = _fields(opened.queues.get(queue))
        keys = opened.keys(queue)
    found.pop("keys", None)
    if json:
        print_json(found | {"keys": [{"key": k, "pending": p, "running": r} for k, p, r in keys]})
        return
    print_fields(found)
    if keys:
        print()
        print_rows(("key", "pending", "running"), keys)


@queues.command()
def pause(queue: Queue, address: Address = None, token: Token = None) -> None:
    """Let nothing more begin; what runs goes on."""
    import getpass

    with _opened(address, token) as opened:
        opened.queues.pause(queue, by=getpass.getuser())
    note(f"queue {queue} is paused")


@queues.command()
def resume(queue: Queue, address: Address = None, token: Token = None) -> None:
    """Go on."""
    with _opened(address, token) as opened:
        pending = opened.queues.resume(queue).pending
    note(f"queue {queue} goes on with {pending} jobs")


@queues.command()
def limit(
    queue: Queue,
    *,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Jobs at once, over all workers.")] = None,
    per_key: Annotated[int | None, typer.Option(min=1, help="Jobs of one key at once.")] = None,
    rate: Annotated[str, typer.Option(metavar="N/PERIOD", help="Starts in any period, such as 100/s or 5/10m.")] = "",
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Set the limits of a queue; those that are not given are taken away."""
    count, period = _rate(rate)
    with _opened(address, token) as opened:
        found = _fields(
            opened.queues.limit(queue, concurrency=concurrency, key_concurrency=per_key, rate=count, per=period)
        )
    print_json(found) if json else print_fields(found)


@dead.command("list")
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
    with _opened(address, token) as opened:
        letters = opened.dead_letters
        found = letters.groups() if by_error else opened.list_dead(error=error, what=what, limit=limit)
    rows = [each if isinstance(each, dict) else _fields(each) for each in found]
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


@dead.command("show")
def show_dead(
    letter: Annotated[str, typer.Argument(metavar="ID")],
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """One dead letter: what it was, and how it failed the last time."""
    with _opened(address, token) as opened:
        found = _fields(opened.dead_letters.get(letter))
    print_json(found) if json else print_fields(found)


@dead.command()
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
    with _opened(address, token) as opened:
        decided = opened.dead_letters.requeue(letters or [], error=error or None, what=what or None)
    print_json(decided) if json else print_rows(("dead", "goes on as"), list(decided.items()))


@dead.command()
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
    with _opened(address, token) as opened:
        gone = opened.dead_letters.discard(letters or [], reason=reason, error=error or None, what=what or None)
    print_json(gone) if json else note(f"{len(gone)} discarded")


class _Database:
    """What these commands ask, of the database."""

    def __init__(self, app: Any) -> None:
        self.jobs, self.queues, self.dead_letters = app.jobs, app.queues, app.dead_letters

    def list_jobs(self, *, queue: str, states: Any, target: str, limit: int, before: str) -> Any:
        from kronos.core.jobs import JobState
        from kronos.ports.jobbook import JobFilter

        unknown = [each for each in states if each not in tuple(JobState)]
        if unknown:
            raise InvalidInput(
                f"state {unknown[0]!r} is unknown; known: {', '.join(JobState)}", field="state", value=unknown[0]
            )
        return self.jobs.list(
            JobFilter(
                queue=queue or None,
                target=target or None,
                states=tuple(map(JobState, states)) or None,
                limit=limit,
                before=before or None,  # type: ignore[arg-type]
            )
        )

    def list_dead(self, *, error: str, what: str, limit: int) -> Any:
        return self.dead_letters.list(error=error or None, what=what or None, limit=limit)

    def keys(self, queue: str) -> list[tuple[str, int, int]]:
        return [(each.key, each.pending, each.running) for each in self.queues.keys(queue)]


class _Server:
    """What these commands ask, of a server."""

    def __init__(self, client: Any) -> None:
        self.jobs, self.queues, self.dead_letters = client.jobs, client.queues, client.dead_letters

    def list_jobs(self, **wanted: Any) -> Any:
        return self.jobs.list(**wanted)

    def list_dead(self, **wanted: Any) -> Any:
        return self.dead_letters.list(**wanted)

    def keys(self, queue: str) -> list[tuple[str, int, int]]:
        return [(key, *counts) for key, counts in self.queues.get(queue).keys.items()]


@contextmanager
def _opened(address: str | None, token: str | None) -> Iterator[Any]:
    if address is not None:
        from kronos.cli.runs_source import server_client

        with server_client(address, token) as client:
            yield _Server(client)
        return
    from kronos.app import Kronos

    with Kronos.open() as opened:
        yield _Database(opened)


def _fields(record: Any) -> dict[str, Any]:
    """Return a record as it is printed: JSON decoded, times as text."""
    fields: dict[str, Any] = {name: getattr(record, name) for name in record.__struct_fields__}
    for name, value in fields.items():
        if name in ("at", "last") or name.endswith("_at"):
            fields[name] = None if value is None else show_time(value)
        elif name in ("input", "output") and isinstance(value, bytes):
            fields[name] = msgspec.json.decode(value)
        elif isinstance(value, msgspec.Struct):
            fields[name] = msgspec.to_builtins(value)
    return fields


def _rate(text: str) -> tuple[int | None, str]:
    if not text:
        return None, "1s"
    match = _RATE.fullmatch(text)
    if match is None:
        raise InvalidInput(f"--rate {text!r}: write it as 100/s or 5/10m", field="rate", value=text)
    return int(match[1]), match[2] if match[2][0].isdigit() else f"1{match[2]}"
