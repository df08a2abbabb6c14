"""Schedules on record, and their firing.

Rule 1: a slot is fired in one transaction under the leader's epoch: the run, the firing and the next slot, or nothing.
Rule 2: a slot that cannot have a run (its workflow is gone, its input no longer fits, the last run is still open) is on
        record with the reason.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime
from typing import Any, Final, NamedTuple, cast

import msgspec
import psycopg

from kronos.core.graph import decode_graph
from kronos.core.schedules import Schedule, delay_of, plan
from kronos.errors import Conflict, InvalidInput, LeaseLost, NotFound, Unavailable
from kronos.kernel.ids import DefinitionId, RunId
from kronos.kernel.schema import check_against
from kronos.ports.leading import Term
from kronos.storage.database import Connection, Session
from kronos.storage.leading import leading
from kronos.storage.statements import statement

__all__ = ["Firing", "PostgresSchedules"]

log: Final = logging.getLogger("kronos.leader")

BATCH: Final = 100
"""Schedules fired in one transaction."""


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a slot: started, triggered (by hand), skipped or refused; `missed` slots before it were not
    fired either.
    """

    nominal_time: datetime
    outcome: str
    run_id: RunId | None
    detail: str | None
    missed: int
    fired_at: datetime
    phase: str | None


class _Target(NamedTuple):
    id: DefinitionId
    input_schema: bytes
    timeout_s: float | None


class PostgresSchedules:
    """The standing orders, and `ports.Scheduling`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._targets: dict[str, _Target] = {}

    # ── keeping ──

    def add(self, schedule: Schedule) -> bool:
        """Keep a schedule; return whether its name was free."""
        row = msgspec.structs.asdict(schedule)
        row["jitter_ms"] = int(schedule.jitter_s * 1000)
        row["timeout_ms"] = None if schedule.timeout_s is None else max(1, int(schedule.timeout_s * 1000))
        with self._session.connection() as connection:
            return connection.execute(statement("add_schedule"), row).fetchone() is not None

    def find(self, name: str | None = None) -> list[Schedule]:
        """Return schedules by name, all or one."""
        with self._session.connection() as connection:
            return [_schedule(row) for row in connection.execute(statement("list_schedules"), {"name": name})]

    def pause(self, name: str) -> None:
        """Fire no slot until resumed; raise `NotFound`."""
        with self._session.transaction() as connection:
            schedule = _locked(connection, name)
            connection.execute(statement("pause_schedule"), {"schedule": schedule.id})

    def resume(self, name: str) -> None:
        """Fire again, from the next slot on; raise `NotFound`."""
        with self._session.transaction() as connection:
            schedule = _locked(connection, name)
            if schedule.paused_at is not None:
                next_at = schedule.times.next_after(_now(connection))
                connection.execute(statement("resume_schedule"), {"schedule": schedule.id, "next_at": next_at})

    def delete(self, name: str) -> None:
        """Forget a schedule; its runs stay.  Raises `NotFound`."""
        with self._session.connection() as connection:
            if connection.execute(statement("delete_schedule"), {"name": name}).fetchone() is None:
                raise unknown(name)

    def trigger(self, name: str) -> RunId:
        """Start a run now, beside the slots; raise `NotFound`, and `Conflict` where the schedule cannot have a run."""
        with self._session.transaction() as connection:
            schedule = _locked(connection, name)
            refusal, run = self._fire(connection, schedule, _now(connection), outcome="triggered", epoch=None, missed=0)
            if run is None:
                raise Conflict(f"schedule {name!r} cannot start a run: {refusal}", name=name)
            connection.execute("NOTIFY kronos_work")
        return run

    def firings(self, schedule: Schedule, limit: int) -> list[Firing]:
        """Return what became of the last slots, newest first."""
        at = {"schedule": schedule.id, "limit": limit}
        with self._session.connection() as connection:
            rows = cast("list[tuple[Any, ...]]", connection.execute(statement("list_firings"), at).fetchall())
        return [
            Firing(
                nominal_time=row[0],
                outcome=row[1],
                run_id=None if row[2] is None else RunId(str(row[2])),
                detail=row[3],
                missed=row[4],
                fired_at=row[5],
                phase=row[6],
            )
            for row in rows
        ]

    def now(self) -> datetime:
        """Return the database's time."""
        with self._session.connection() as connection:
            return _now(connection)

    # ── firing ──

    def fire_due(self, term: Term) -> int:
        """Fire what is due; return how many schedules were."""
        with leading(self._session, term) as connection:
            rows = connection.execute(statement("lock_due_schedules"), {"limit": BATCH}).fetchall()
            now = _now(connection)
            for row in rows:
                self._advance_alone(connection, _schedule(row), now, term)
            if rows:
                connection.execute("NOTIFY kronos_work")
        return len(rows)

    def next_slot_s(self) -> float | None:
        """Return the seconds until the next slot."""
        with self._session.connection() as connection:
            row = connection.execute(statement("find_next_slot")).fetchone()
        return cast("tuple[float | None]", row)[0]

    def _advance_alone(self, connection: Connection, schedule: Schedule, now: datetime, term: Term) -> None:
        """Fire a schedule; one that cannot be costs itself alone: it is paused on record, and the others are fired."""
        assert schedule.next_at is not None, "it is due"
        try:
            with connection.transaction():
                self._advance(connection, schedule, now, term)
        except (Unavailable, LeaseLost, psycopg.OperationalError):
            raise
        except Exception as error:
            log.exception("schedule %s cannot be fired and is paused", schedule.name)
            why = error.message if isinstance(error, InvalidInput) else f"{type(error).__name__}: {error}"
            _decline(connection, schedule, schedule.next_at, "refused", why, missed=0, epoch=term.epoch)
            connection.execute(statement("pause_schedule"), {"schedule": schedule.id})

    def _advance(self, connection: Connection, schedule: Schedule, now: datetime, term: Term) -> None:
        assert schedule.next_at is not None, "it is due"
        decided = plan(schedule, now)
        for slot in decided.fire:
            refusal, run = self._fire(
                connection, schedule, slot, outcome="started", epoch=term.epoch, missed=decided.missed
            )
            if run is None:
                outcome = "refused" if refusal is not _OPEN else "skipped"
                _decline(connection, schedule, slot, outcome, refusal, missed=decided.missed, epoch=term.epoch)
        if not decided.fire:
            missed = decided.missed - 1
            _decline(connection, schedule, schedule.next_at, "skipped", _MISSED, missed=missed, epoch=term.epoch)
        connection.execute(statement("advance_schedule"), {"schedule": schedule.id, "next_at": decided.next_at})

    def _fire(
        self,
        connection: Connection,
        schedule: Schedule,
        slot: datetime,
        *,
        outcome: str,
        epoch: int | None,
        missed: int,
    ) -> tuple[str, RunId | None]:
        """Start the run of a slot; return the reason instead where there can be none."""
        target = self._target(connection, schedule)
        if target is None:
            return f"workflow {schedule.workflow!r} is not registered" + (
                f" in version {schedule.version!r}" if schedule.version else ""
            ), None
        try:
            data = check_against(target.input_schema, schedule.input)
        except InvalidInput as error:
            return f"its input does not fit the workflow: {error.message}", None
        if outcome == "started" and not _clear_the_way(connection, schedule, slot):
            return _OPEN, None
        delay = delay_of(schedule, slot)
        timeout_s = schedule.timeout_s if schedule.timeout_s is not None else target.timeout_s
        row = connection.execute(
            statement("fire_schedule"),
            {
                "schedule": schedule.id,
                "slot": slot,
                "outcome": outcome,
                "missed": missed,
                "epoch": epoch,
                "definition": target.id,
                "input": data,
                "timeout_ms": None if timeout_s is None else max(1, int(timeout_s * 1000)),
                "wake_at": slot + delay if delay and outcome == "started" else None,
            },
        ).fetchone()
        return "this slot was fired before", None if row is None else RunId(str(row[0]))

    def _target(self, connection: Connection, schedule: Schedule) -> _Target | None:
        at = {"workflow": schedule.workflow, "version": schedule.version}
        row = cast("tuple[Any, ...] | None", connection.execute(statement("find_newest_definition"), at).fetchone())
        if row is None:
            return None
        if row[0] not in self._targets:
            self._targets[row[0]] = _Target(DefinitionId(row[0]), row[2], decode_graph(row[1]).timeout_s)
        return self._targets[row[0]]


_OPEN: Final = "the last run is still open"
_MISSED: Final = "missed: nobody led when it was due"


def unknown(name: str) -> NotFound:
    """Return the error for a schedule that does not exist."""
    return NotFound(f"no schedule {name!r}: `kronos schedules list` shows those there are", field="name", value=name)


def _clear_the_way(connection: Connection, schedule: Schedule, slot: datetime) -> bool:
    """Do what the schedule says of runs that are still open; return whether a new one may begin."""
    at = {"schedule": schedule.id}
    connection.execute(statement("close_firings"), at)
    if schedule.overlap == "allow":
        return True
    open_runs = [run for (run,) in connection.execute(statement("find_open_firings"), at).fetchall()]
    if schedule.overlap == "skip":
        return not open_runs
    wish = msgspec.json.encode({"reason": f"its schedule {schedule.name!r} fires again", "by": "schedule"})
    for run in cast("list[uuid.UUID]", open_runs):
        command = uuid.uuid5(run, f"schedule/{schedule.id}/{slot.isoformat()}")
        connection.execute(statement("send_to_inbox"), {"run": run, "command": command, "kind": "cancel", "body": wish})
    return True


def _decline(
    connection: Connection,
    schedule: Schedule,
    slot: datetime,
    outcome: str,
    detail: str,
    *,
    missed: int,
    epoch: int,
) -> None:
    row = {
        "schedule": schedule.id,
        "slot": slot,
        "outcome": outcome,
        "detail": detail,
        "missed": missed,
        "epoch": epoch,
    }
    connection.execute(statement("decline_slot"), row)


def _locked(connection: Connection, name: str) -> Schedule:
    row = connection.execute(statement("lock_schedule"), {"name": name}).fetchone()
    if row is None:
        raise unknown(name)
    return _schedule(row)


def _now(connection: Connection) -> datetime:
    return cast("tuple[datetime]", connection.execute("SELECT kronos.now()").fetchone())[0]


def _schedule(row: tuple[Any, ...]) -> Schedule:
    return Schedule(
        id=row[0],
        name=row[1],
        cron=row[2],
        zone=row[3],
        workflow=row[4],
        version=row[5],
        input=row[6],
        catch_up=row[7],
        overlap=row[8],
        jitter_s=float(row[9]),
        timeout_s=None if row[10] is None else float(row[10]),
        created_at=row[11],
        paused_at=row[12],
        next_at=row[13],
    )
