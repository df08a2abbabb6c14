"""Calls that fork runs, and show families."""

from __future__ import annotations

import grpc

from kronos._proto.v1 import service_pb2 as pb
from kronos.app import Kronos
from kronos.app.changes import changes_from_json
from kronos.ports.lineage import Kin
from kronos.server.rpc_answers import answer, read_run_id

__all__ = ["ForkCalls"]


class ForkCalls:
    """A part of the service."""

    _app: Kronos

    def ForkRun(self, request: pb.ForkRunRequest, context: grpc.ServicerContext) -> pb.ForkRunResponse:  # noqa: N802
        def fork() -> pb.ForkRunResponse:
            changes = changes_from_json(
                run_input=request.input,
                outputs=request.set_outputs,
                inputs=request.set_inputs,
                version=request.version,
                allow_external=request.allow_external,
            )
            made = self._app.fork(
                read_run_id(request.run_id),
                at=request.at or None,
                at_seq=request.at_seq if request.HasField("at_seq") else None,
                changes=changes,
            )
            return pb.ForkRunResponse(run_id=made)

        return answer(context, "ForkRun", fork)

    def RetryRun(self, request: pb.RetryRunRequest, context: grpc.ServicerContext) -> pb.ForkRunResponse:  # noqa: N802
        def retry() -> pb.ForkRunResponse:
            run_id = read_run_id(request.run_id)
            return pb.ForkRunResponse(run_id=self._app.forks.retry(run_id, allow_external=request.allow_external))

        return answer(context, "RetryRun", retry)

    def GetLineage(self, request: pb.GetLineageRequest, context: grpc.ServicerContext) -> pb.Lineage:  # noqa: N802
        def lineage() -> pb.Lineage:
            family = self._app.forks.family(read_run_id(request.run_id))
            return pb.Lineage(
                run=_kin(family.run),
                ancestors=map(_kin, family.ancestors),
                descendants=map(_kin, family.descendants),
                is_cut=family.is_cut,
            )

        return answer(context, "GetLineage", lineage)


def _kin(kin: Kin) -> pb.Kin:
    return pb.Kin(
        run_id=kin.run_id,
        parent=kin.parent or "",
        parent_seq=kin.parent_seq,
        workflow_name=kin.workflow,
        version=kin.version,
        phase=kin.phase.value,
        created_at_ns=kin.created_at,
        changed=kin.changed,
    )
