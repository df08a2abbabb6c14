"""`kronos schedules`: over gRPC where `--address` is given, else straight from the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kronos.cli.opening import opened
from kronos.cli.options import Address, Json, Token
from kronos.cli.output import note, print_fields, print_json, print_rows, show_time

if TYPE_CHECKING:
    from kronos.client.schedules import ScheduleRecord
    from kronos.core.schedules import Schedule

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]


@app.command()
def add(
    name: Name,
    cron: Annotated[str, typer.Argument(metavar="CRON", help='Such as "0 9 * * mon-fri", or @hourly.')],
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of a registered workflow.")],
    *,
    run_input: Annotated[str, typer.Option("--input", metavar="JSON|@FILE", help="Each run's input.")] = "{}",
    zone: Annotated[str, typer.Option(help="IANA time zone, such as Europe/Zurich.")] = "UTC",
    version: Annotated[str, typer.Option(help="Default: at each slot, the one registered last.")] = "",
    catch_up: Annotated[
        str, typer.Option(help="Slots that were due while nobody led: latest, all or none.")
    ] = "latest",
    overlap: Annotated[str, typer.Option(help="While the last run is open: allow, skip, cancel_previous.")] = "allow",
    jitter: Annotated[str | None, typer.Option(help='Up to this is added to each start, such as "30s".')] = None,
    timeout: Annotated[str | None, typer.Option(help='How long each run may take, such as "10m".')] = None,
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Start a run at each time that CRON names; adding the same again changes nothing."""
    from kronos.cli.inputs import check_duration, read_input

    durations = {"jitter": check_duration(jitter, "jitter"), "timeout": check_duration(timeout, "timeout")}
    options = {"zone": zone, "version": version, "catch_up": catch_up, "overlap": overlap}
    with _schedules(address, token) as schedules:
        added = schedules.add(name, cron, workflow, read_input(run_input), **durations, **options)
    print_json(added) if json else print_fields(added)


@app.command("list")
def list_schedules(address: Address = None, token: Token = None, json: Json = False) -> None:
    """Every schedule, and when it fires next."""
    with _schedules(address, token) as schedules:
        found = schedules.list()
    if json:
        print_json(found)
        return
    titles = ("name", "cron", "zone", "workflow", "next", "state")
    print_rows(
        titles, [[*(each[title] for title in titles[:5]), "paused" if each["paused"] else "on"] for each in found]
    )


@app.command()
def show(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Slots and firings to show.")] = 5,
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """One schedule: its next slots, and what became of the last ones."""
    with _schedules(address, token) as schedules:
        found = schedules.get(name, limit)
    if json:
        print_json(found)
        return
    firings = found.pop("firings")
    print_fields(found | {"upcoming": ", ".join(found["upcoming"]) or None})
    if firings:
        print()
        titles = ("slot", "outcome", "run", "phase", "missed", "detail")
        print_rows(titles, [[firing[title] for title in titles] for firing in firings])


@app.command()
def pause(name: Name, address: Address = None, token: Token = None) -> None:
    """Fire no slot until it is resumed."""
    with _schedules(address, token) as schedules:
        schedules.pause(name)
    note(f"schedule {name} is paused")


@app.command()
def resume(name: Name, address: Address = None, token: Token = None) -> None:
    """Fire again, from the next slot on."""
    with _schedules(address, token) as schedules:
        resumed = schedules.resume(name)
    note(f"schedule {name} fires next at {resumed['next']}")


@app.command()
def trigger(name: Name, address: Address = None, token: Token = None, json: Json = False) -> None:
    """Start a run now, paused or not, and print its id."""
    with _schedules(address, token) as schedules:
        run = schedules.trigger(name)
    print_json({"run_id": run}) if json else print(run)


@app.command()
def delete(name: Name, address: Address = None, token: Token = None) -> None:
    """Forget a schedule; its runs stay."""
    with _schedules(address, token) as schedules:
        schedules.delete(name)
    note(f"schedule {name} is deleted")


@contextmanager
def _schedules(address: str | None, token: str | None) -> Iterator[Any]:
    with opened(address, token) as place:
        yield _OfDatabase(place.schedules) if address is None else _OfServer(place.schedules)


class _OfServer:
    def __init__(self, client: Any) -> None:
        self._client = client
        self.trigger, self.delete = client.trigger, client.delete

    def add(self, name: str, cron: str, workflow: str, run_input: str, **options: str) -> dict[str, Any]:
        from kronos.kernel import canonical

        return _told(self._client.add(name, cron, workflow, canonical.decode(run_input.encode()), **options))

    def list(self) -> list[dict[str, Any]]:
        return [_told(each) for each in self._client.list()]

    def get(self, name: str, limit: int) -> dict[str, Any]:
        found = self._client.get(name, limit=limit)
        firings = [
            {
                "slot": show_time(firing.nominal_time_ns),
                "outcome": firing.outcome,
                "run": firing.run_id,
                "phase": firing.phase,
                "missed": firing.missed,
                "detail": firing.detail,
            }
            for firing in found.firings
        ]
        return _told(found) | {"upcoming": [show_time(slot) for slot in found.upcoming_ns], "firings": firings}

    def pause(self, name: str) -> dict[str, Any]:
        return _told(self._client.pause(name))

    def resume(self, name: str) -> dict[str, Any]:
        return _told(self._client.resume(name))


class _OfDatabase:
    def __init__(self, schedules: Any) -> None:
        self._schedules = schedules
        self.trigger, self.delete = schedules.trigger, schedules.delete

    def add(self, name: str, cron: str, workflow: str, run_input: str, **options: str) -> dict[str, Any]:
        given = {key: value or None for key, value in options.items()} | {"jitter": options["jitter"] or 0}
        return _kept(self._schedules.add_json(name, cron, workflow, run_input, **given))

    def list(self) -> list[dict[str, Any]]:
        return [_kept(each) for each in self._schedules.list()]

    def get(self, name: str, limit: int) -> dict[str, Any]:
        firings = [
            {
                "slot": _iso(firing.nominal_time),
                "outcome": firing.outcome,
                "run": firing.run_id,
                "phase": firing.phase,
                "missed": firing.missed,
                "detail": firing.detail,
            }
            for firing in self._schedules.firings(name, limit)
        ]
        upcoming = [_iso(slot) for slot in self._schedules.upcoming(name, limit)]
        return _kept(self._schedules.get(name)) | {"upcoming": upcoming, "firings": firings}

    def pause(self, name: str) -> dict[str, Any]:
        return _kept(self._schedules.pause(name))

    def resume(self, name: str) -> dict[str, Any]:
        return _kept(self._schedules.resume(name))


def _kept(schedule: Schedule) -> dict[str, Any]:
    from kronos.kernel import canonical
    from kronos.kernel.unreadable import readable_text

    given = canonical.decode(readable_text(schedule.input).encode())
    return _fields(schedule, given, _iso(schedule.next_at), _iso(schedule.paused_at))


def _told(schedule: ScheduleRecord) -> dict[str, Any]:
    return _fields(schedule, schedule.input, show_time(schedule.next_at_ns), show_time(schedule.paused_at_ns))


def _fields(schedule: Any, run_input: Any, next_at: str | None, paused_at: str | None) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "cron": schedule.cron,
        "zone": schedule.zone,
        "workflow": schedule.workflow,
        "version": schedule.version,
        "input": run_input,
        "catch_up": schedule.catch_up,
        "overlap": schedule.overlap,
        "jitter_s": schedule.jitter_s,
        "timeout_s": schedule.timeout_s,
        "paused": paused_at,
        "next": next_at,
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
