"""Calls about the soundness of what is stored."""

from __future__ import annotations

import grpc

from kronos._proto.v1 import service_pb2 as pb
from kronos.app import Kronos
from kronos.server.rpc_answers import answer, read_run_id

__all__ = ["UpkeepCalls"]


class UpkeepCalls:
    """A part of the service."""

    _app: Kronos

    def ExplainRun(  # noqa: N802
        self, request: pb.ExplainRunRequest, context: grpc.ServicerContext
    ) -> pb.ExplainRunResponse:
        def explain() -> pb.ExplainRunResponse:
            remarks = self._app.doctor(read_run_id(request.run_id))
            return pb.ExplainRunResponse(
                remarks=[pb.Remark(topic=r.topic, level=r.level, what=r.what, do=r.do) for r in remarks]
            )

        return answer(context, "ExplainRun", explain)
