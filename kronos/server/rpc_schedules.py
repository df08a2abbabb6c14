"""Calls about schedules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import grpc

from kronos._proto.v1 import service_pb2 as pb
from kronos.app import Kronos
from kronos.core.schedules import Schedule
from kronos.errors import InvalidInput
from kronos.kernel.unreadable import readable_text
from kronos.server.rpc_answers import answer
from kronos.storage.schedules import Firing

__all__ = ["ScheduleCalls"]

LIMIT_MAX: Final = 100
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class ScheduleCalls:
    """A part of the service."""

    _app: Kronos

    def CreateSchedule(self, request: pb.CreateScheduleRequest, context: grpc.ServicerContext) -> pb.Schedule:  # noqa: N802
        def create() -> pb.Schedule:
            if not request.workflow_name:
                raise InvalidInput("workflow_name is empty: name a workflow", field="workflow_name", value="")
            added = self._app.schedules.add_json(
                request.name,
                request.cron,
                request.workflow_name,
                request.input or "{}",
                zone=request.zone or "UTC",
                version=request.version or None,
                catch_up=request.catch_up or "latest",
                overlap=request.overlap or "allow",
                jitter=request.jitter or 0,
                timeout=request.timeout or None,
            )
            return _message(added)

        return answer(context, "CreateSchedule", create)

    def ListSchedules(  # noqa: N802
        self, request: pb.ListSchedulesRequest, context: grpc.ServicerContext
    ) -> pb.ListSchedulesResponse:
        def listed() -> pb.ListSchedulesResponse:
            if not 0 <= request.limit <= LIMIT_MAX:
                raise InvalidInput(
                    f"limit {request.limit} is outside 0..{LIMIT_MAX}", field="limit", value=request.limit
                )
            schedules = self._app.schedules
            found = [schedules.get(request.name)] if request.name else schedules.list()
            if not request.limit:
                return pb.ListSchedulesResponse(schedules=map(_message, found))
            return pb.ListSchedulesResponse(
                schedules=[
                    _message(
                        each,
                        schedules.upcoming(each.name, request.limit),
                        schedules.firings(each.name, request.limit),
                    )
                    for each in found
                ]
            )

        return answer(context, "ListSchedules", listed)

    def PauseSchedule(self, request: pb.ScheduleRequest, context: grpc.ServicerContext) -> pb.Schedule:  # noqa: N802
        return self._changed(request, context, "PauseSchedule", self._app.schedules.pause)

    def ResumeSchedule(self, request: pb.ScheduleRequest, context: grpc.ServicerContext) -> pb.Schedule:  # noqa: N802
        return self._changed(request, context, "ResumeSchedule", self._app.schedules.resume)

    def TriggerSchedule(  # noqa: N802
        self, request: pb.ScheduleRequest, context: grpc.ServicerContext
    ) -> pb.TriggerScheduleResponse:
        def trigger() -> pb.TriggerScheduleResponse:
            return pb.TriggerScheduleResponse(run_id=self._app.schedules.trigger(request.name))

        return answer(context, "TriggerSchedule", trigger)

    def DeleteSchedule(  # noqa: N802
        self, request: pb.ScheduleRequest, context: grpc.ServicerContext
    ) -> pb.DeleteScheduleResponse:
        def delete() -> pb.DeleteScheduleResponse:
            self._app.schedules.delete(request.name)
            return pb.DeleteScheduleResponse()

        return answer(context, "DeleteSchedule", delete)

    def _changed(
        self, request: pb.ScheduleRequest, context: grpc.ServicerContext, name: str, change: Callable[[str], Schedule]
    ) -> pb.Schedule:
        return answer(context, name, lambda: _message(change(request.name)))


def _message(
    schedule: Schedule, upcoming: list[datetime] | None = None, firings: list[Firing] | None = None
) -> pb.Schedule:
    return pb.Schedule(
        name=schedule.name,
        cron=schedule.cron,
        zone=schedule.zone,
        workflow_name=schedule.workflow,
        version=schedule.version or "",
        input=readable_text(schedule.input),
        catch_up=schedule.catch_up,
        overlap=schedule.overlap,
        jitter_seconds=schedule.jitter_s,
        timeout_seconds=schedule.timeout_s or 0.0,
        created_at_ns=_ns(schedule.created_at),
        paused_at_ns=_ns(schedule.paused_at),
        next_at_ns=_ns(schedule.next_at),
        upcoming_ns=[_ns(slot) for slot in upcoming or ()],
        firings=[
            pb.Firing(
                nominal_time_ns=_ns(firing.nominal_time),
                outcome=firing.outcome,
                run_id=firing.run_id or "",
                detail=firing.detail or "",
                missed=firing.missed,
                fired_at_ns=_ns(firing.fired_at),
                phase=firing.phase or "",
            )
            for firing in firings or ()
        ],
    )


def _ns(at: datetime | None) -> int:
    return 0 if at is None else (at - _EPOCH) // _MICROSECOND * 1_000
