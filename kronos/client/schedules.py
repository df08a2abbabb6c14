"""`client.schedules`: a server's standing orders for runs."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import msgspec

from kronos._proto.v1 import service_pb2 as pb
from kronos.kernel import canonical

__all__ = ["FiringRecord", "ScheduleRecord", "SchedulesClient"]


class FiringRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a slot: started, triggered, skipped or refused; times are ns since the epoch."""

    nominal_time_ns: int
    outcome: str
    run_id: str | None
    detail: str | None
    missed: int
    fired_at_ns: int
    phase: str | None


class ScheduleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule.  `input` is decoded JSON; `upcoming_ns` and `firings` are filled where they were asked for."""

    name: str
    cron: str
    zone: str
    workflow: str
    version: str | None
    input: Any
    catch_up: str
    overlap: str
    jitter_s: float
    timeout_s: float | None
    created_at_ns: int
    paused_at_ns: int | None
    next_at_ns: int | None
    upcoming_ns: tuple[int, ...] = ()
    firings: tuple[FiringRecord, ...] = ()


class SchedulesClient:
    """Reached as `client.schedules`."""

    def __init__(self, call: Callable[..., Any], stub: Any) -> None:
        self._call = call
        self._stub = stub

    def add(
        self,
        name: str,
        cron: str,
        workflow: str,
        input: object = msgspec.UNSET,  # noqa: A002
        *,
        zone: str = "UTC",
        version: str = "",
        catch_up: str = "latest",
        overlap: str = "allow",
        jitter: str = "",
        timeout: str = "",
    ) -> ScheduleRecord:
        """Start a run of `workflow` at each time that `cron` names in `zone`; adding the same again changes nothing.

        Raises `InvalidInput` naming the field, `NotFound` for an unknown workflow, `Conflict` where the name is taken.
        """
        request = pb.CreateScheduleRequest(
            name=name,
            cron=cron,
            workflow_name=workflow,
            input="" if input is msgspec.UNSET else canonical.encode(input).decode(),
            zone=zone,
            version=version,
            catch_up=catch_up,
            overlap=overlap,
            jitter=jitter,
            timeout=timeout,
        )
        return _record(self._call(self._stub.CreateSchedule, request, pb.Schedule))

    def get(self, name: str, *, limit: int = 10) -> ScheduleRecord:
        """Return one, with `limit` slots to come and as many firings; raise `NotFound`."""
        return self._listed(name, limit)[0]

    def pause(self, name: str) -> ScheduleRecord:
        """Fire no slot until it is resumed; those that pass meanwhile are not caught up."""
        return _record(self._call(self._stub.PauseSchedule, pb.ScheduleRequest(name=name), pb.Schedule))

    def resume(self, name: str) -> ScheduleRecord:
        """Fire again, from the next slot on."""
        return _record(self._call(self._stub.ResumeSchedule, pb.ScheduleRequest(name=name), pb.Schedule))

    def trigger(self, name: str) -> str:
        """Start a run now, paused or not, and return its id."""
        answer = self._call(self._stub.TriggerSchedule, pb.ScheduleRequest(name=name), pb.TriggerScheduleResponse)
        return str(answer.run_id)

    def delete(self, name: str) -> None:
        """Forget a schedule; its runs stay."""
        self._call(self._stub.DeleteSchedule, pb.ScheduleRequest(name=name), pb.DeleteScheduleResponse)

    def list(self) -> list[ScheduleRecord]:
        """Return all schedules, by name."""
        return self._listed("", 0)

    def _listed(self, name: str, limit: int) -> builtins.list[ScheduleRecord]:
        request = pb.ListSchedulesRequest(name=name, limit=limit)
        answer = self._call(self._stub.ListSchedules, request, pb.ListSchedulesResponse)
        return [_record(each) for each in answer.schedules]


def _record(message: pb.Schedule) -> ScheduleRecord:
    return ScheduleRecord(
        name=message.name,
        cron=message.cron,
        zone=message.zone,
        workflow=message.workflow_name,
        version=message.version or None,
        input=canonical.decode(message.input.encode()),
        catch_up=message.catch_up,
        overlap=message.overlap,
        jitter_s=message.jitter_seconds,
        timeout_s=message.timeout_seconds or None,
        created_at_ns=message.created_at_ns,
        paused_at_ns=message.paused_at_ns or None,
        next_at_ns=message.next_at_ns or None,
        upcoming_ns=tuple(message.upcoming_ns),
        firings=tuple(_firing(each) for each in message.firings),
    )


def _firing(message: pb.Firing) -> FiringRecord:
    return FiringRecord(
        nominal_time_ns=message.nominal_time_ns,
        outcome=message.outcome,
        run_id=message.run_id or None,
        detail=message.detail or None,
        missed=message.missed,
        fired_at_ns=message.fired_at_ns,
        phase=message.phase or None,
    )
