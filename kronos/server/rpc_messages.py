"""Calls that speak to runs."""

from __future__ import annotations

import grpc
import msgspec

from kronos._proto.v1 import service_pb2 as pb
from kronos.app import Kronos
from kronos.errors import InvalidInput
from kronos.ports.history import RunFilter
from kronos.server.rpc_answers import answer, read_phase, read_run_id

__all__ = ["MessageCalls"]

_BY = "grpc"


class MessageCalls:
    """A part of the service."""

    _app: Kronos

    def SignalRun(self, request: pb.SignalRunRequest, context: grpc.ServicerContext) -> pb.SignalRunResponse:  # noqa: N802
        def signal() -> pb.SignalRunResponse:
            value = (request.value or "null").encode()
            self._app.signal_json(
                read_run_id(request.run_id), request.name, value, by=request.by or _BY, key=request.key
            )
            return pb.SignalRunResponse()

        return answer(context, "SignalRun", signal)

    def DecideApproval(  # noqa: N802
        self, request: pb.DecideApprovalRequest, context: grpc.ServicerContext
    ) -> pb.DecideApprovalResponse:
        def decide() -> pb.DecideApprovalResponse:
            run_id, step = read_run_id(request.run_id), request.step or None
            say = self._app.approve if request.approved else self._app.reject
            return pb.DecideApprovalResponse(step=say(run_id, step, by=request.by, reason=request.reason))

        return answer(context, "DecideApproval", decide)

    def PauseRun(self, request: pb.HoldRunRequest, context: grpc.ServicerContext) -> pb.HoldRunResponse:  # noqa: N802
        def pause() -> pb.HoldRunResponse:
            self._app.pause(read_run_id(request.run_id), by=request.by or _BY, reason=request.reason)
            return pb.HoldRunResponse()

        return answer(context, "PauseRun", pause)

    def ResumeRun(self, request: pb.HoldRunRequest, context: grpc.ServicerContext) -> pb.HoldRunResponse:  # noqa: N802
        def resume() -> pb.HoldRunResponse:
            self._app.resume(read_run_id(request.run_id), by=request.by or _BY, reason=request.reason)
            return pb.HoldRunResponse()

        return answer(context, "ResumeRun", resume)

    def QueryRun(self, request: pb.QueryRunRequest, context: grpc.ServicerContext) -> pb.QueryRunResponse:  # noqa: N802
        def query() -> pb.QueryRunResponse:
            if not request.name:
                raise InvalidInput("name is empty: name a query", field="name", value="")
            found = self._app.query(read_run_id(request.run_id), request.name)
            return pb.QueryRunResponse(answer=msgspec.json.encode(found).decode())

        return answer(context, "QueryRun", query)

    def CancelRuns(self, request: pb.CancelRunsRequest, context: grpc.ServicerContext) -> pb.CancelRunsResponse:  # noqa: N802
        def cancel() -> pb.CancelRunsResponse:
            chosen = RunFilter(
                phases=tuple(map(read_phase, request.phases)),
                workflow=request.workflow_name or None,
                where=dict(request.where),
            )
            report = self._app.cancel_all(chosen, reason=request.reason, by=request.by or _BY, dry_run=request.dry_run)
            return pb.CancelRunsResponse(
                matched=report.matched, asked=report.asked, ended_meanwhile=report.ended_meanwhile
            )

        return answer(context, "CancelRuns", cancel)
