"""kronos.v1 over gRPC: each call is one question to the application.

Rule 1: a request is checked before anything happens, and a refusal names the field and its value.
Rule 2: `open_to` alone says which calls need no token.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

import grpc
import msgspec

from kronos._proto.v1 import service_pb2 as pb
from kronos._proto.v1 import service_pb2_grpc
from kronos.app import Kronos
from kronos.core.events import Attribute, Event, encode_facts, expand
from kronos.core.options import duration_s
from kronos.errors import InvalidInput
from kronos.kernel.unreadable import readable
from kronos.ports.history import RunFilter, RunSummary
from kronos.server.reading import Reading
from kronos.server.rpc_answers import abort, answer, failure_message, read_phase, read_run_id
from kronos.server.rpc_forks import ForkCalls
from kronos.server.rpc_jobs import JobCalls
from kronos.server.rpc_messages import MessageCalls
from kronos.server.rpc_schedules import ScheduleCalls
from kronos.server.rpc_upkeep import UpkeepCalls
from kronos.server.status import Busy, public

__all__ = ["KronosServicer"]

STREAMS_MAX: Final = 16
WAIT_S: Final = 1.0
PAGE: Final = 1_000


class KronosServicer(
    ForkCalls, JobCalls, MessageCalls, ScheduleCalls, UpkeepCalls, service_pb2_grpc.KronosServiceServicer
):
    """The service; each topic has a room of its own, `rpc_TOPIC.py`."""

    def __init__(self, app: Kronos) -> None:
        self._app = app
        self._reading = Reading(app.history)
        self._streams = threading.BoundedSemaphore(STREAMS_MAX)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End every stream."""
        self._stopping.set()

    def StartWorkflow(  # noqa: N802
        self, request: pb.StartWorkflowRequest, context: grpc.ServicerContext
    ) -> pb.StartWorkflowResponse:
        def start() -> pb.StartWorkflowResponse:
            if not request.workflow_name:
                raise InvalidInput("workflow_name is empty: name a workflow", field="workflow_name", value="")
            run_id = self._app.start_json(
                request.workflow_name,
                request.input or "null",
                version=request.version or None,
                timeout_s=_timeout(request.timeout),
                attributes=_attributes(request.attributes),
                retention=request.retention or None,
            )
            return pb.StartWorkflowResponse(run_id=run_id)

        return answer(context, "StartWorkflow", start)

    def GetRun(self, request: pb.GetRunRequest, context: grpc.ServicerContext) -> pb.Run:  # noqa: N802
        return answer(context, "GetRun", lambda: self._run(self._app.history.run(read_run_id(request.run_id))))

    def ListRuns(self, request: pb.ListRunsRequest, context: grpc.ServicerContext) -> pb.ListRunsResponse:  # noqa: N802
        def listed() -> pb.ListRunsResponse:
            chosen = RunFilter(
                phases=tuple(read_phase(text) for text in request.phases),
                workflow=request.workflow_name or None,
                before=read_run_id(request.cursor, field="cursor") if request.cursor else None,
                limit=request.limit or 50,
                where=dict(request.where),
            )
            page = self._app.history.runs(chosen)
            return pb.ListRunsResponse(runs=[self._run(run) for run in page.runs], next_cursor=page.next_before or "")

        return answer(context, "ListRuns", listed)

    def CancelRun(self, request: pb.CancelRunRequest, context: grpc.ServicerContext) -> pb.CancelRunResponse:  # noqa: N802
        def cancel() -> pb.CancelRunResponse:
            run_id = read_run_id(request.run_id)
            self._app.history.run(run_id)
            self._app.cancel(run_id, reason=request.reason, by="grpc")
            return pb.CancelRunResponse()

        return answer(context, "CancelRun", cancel)

    def GetRunEvents(self, request: pb.GetRunEventsRequest, context: grpc.ServicerContext) -> pb.GetRunEventsResponse:  # noqa: N802
        def events() -> pb.GetRunEventsResponse:
            run_id, after, limit = read_run_id(request.run_id), _after(request.after_seq), request.limit or PAGE
            if not 1 <= limit <= PAGE:
                raise InvalidInput(f"limit {limit} is outside 1..{PAGE}", field="limit", value=limit)
            facts = self._reading.facts(run_id, after=after, limit=limit)
            head = self._app.history.run(run_id).head_seq
            return pb.GetRunEventsResponse(events=[_event(fact) for fact in facts], head_seq=head)

        return answer(context, "GetRunEvents", events)

    def StreamRunHistory(  # noqa: N802
        self, request: pb.StreamRunHistoryRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.Event]:
        if not self._streams.acquire(blocking=False):
            abort(context, Busy(f"{STREAMS_MAX} streams are open, which is the limit: end one", limit=STREAMS_MAX))
        try:
            run_id, after = read_run_id(request.run_id), _after(request.after_seq)
            while context.is_active() and not self._stopping.is_set():
                run = self._app.history.run(run_id)
                for fact in self._news(run, after):
                    yield _event(fact)
                    after = fact.seq
                if run.phase.is_final and after >= run.head_seq:
                    return
        except Exception as error:
            abort(context, public(error, where="StreamRunHistory"))
        finally:
            self._streams.release()

    def _news(self, run: RunSummary, after: int) -> list[Event]:
        stored = self._app.events_since(run.id, after, wait_s=0.0 if run.phase.is_final else WAIT_S)
        return [fact for event in stored for fact in expand(event) if fact.seq > after]

    def _json(self, value: bytes) -> str:
        return readable(lambda: self._app.history.payload(value)).decode()

    def _run(self, run: RunSummary) -> pb.Run:
        return pb.Run(
            run_id=run.id,
            workflow_name=run.workflow,
            version=run.version,
            phase=run.phase.value,
            created_at_ns=run.created_at,
            started_at_ns=run.started_at or 0,
            finished_at_ns=run.finished_at or 0,
            head_seq=run.head_seq,
            input=self._json(run.input),
            output="" if run.output is None else self._json(run.output),
            failure=failure_message(run.failure),
            failed_step=run.failed_step or "",
            definition_id=run.definition,
            child_of=run.child_of or "",
            child_step=run.child_step or "",
            continues=run.continues or "",
            continued_by=run.continued_by or "",
            attributes=msgspec.json.encode(run.attributes).decode() if run.attributes else "",
            spent="" if run.spent is None else msgspec.json.encode(run.spent).decode(),
        )


def _event(fact: Event) -> pb.Event:
    return pb.Event(
        seq=fact.seq,
        kind=fact.kind.value,
        at_ns=fact.at,
        step=fact.step,
        attempt=fact.attempt,
        facts=encode_facts(fact.facts).decode(),
    )


def _after(seq: int) -> int:
    if seq < 0:
        raise InvalidInput(f"after_seq {seq} is negative", field="after_seq", value=seq)
    return seq


def _attributes(text: str) -> dict[str, Attribute] | None:
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Attribute])
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"attributes cannot be read: {error}", field="attributes", value=text) from None


def _timeout(text: str) -> float | None:
    if not text:
        return None
    return duration_s(text, field="timeout")
