"""A server's runs, over gRPC.

Rule 1: a refused call raises the same error that the server raised, with its facts; never a `grpc.RpcError`.
Rule 2: a run that was started is durable; waiting for it may be broken off and taken up again at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self, TypeVar, cast

import grpc
import msgspec

from kronos._proto.v1 import service_pb2 as pb
from kronos._proto.v1 import service_pb2_grpc as rpc
from kronos.client.forks import ForksClient
from kronos.client.jobs import DeadLettersClient, JobsClient, QueuesClient
from kronos.client.messages import MessagesClient
from kronos.client.records import EventRecord, RunPage, RunRecord, read_event, read_run
from kronos.client.schedules import SchedulesClient
from kronos.client.upkeep import UpkeepClient
from kronos.errors import InvalidInput, KronosError, StepTimeout, Unauthenticated, Unavailable
from kronos.kernel import canonical

__all__ = ["Client"]

A = TypeVar("A")

CALL_TIMEOUT_S: Final = 30.0
MESSAGE_BYTES_MAX: Final = 272 * 1024 * 1024
_EVENTS_A_PAGE: Final = 1_000


class Client:
    """`address` is host:port of a server's GRPC_ADDR; `token` is what `kronos token` prints there."""

    def __init__(self, address: str, token: str, *, timeout_s: float = CALL_TIMEOUT_S) -> None:
        if ":" not in address:
            raise InvalidInput(f"address {address!r}: write it as host:port", field="address", value=address)
        self.address: Final = address
        self._timeout_s = timeout_s
        self._metadata = (("authorization", f"Bearer {token}"),)
        options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.enable_http_proxy", 0),  # a proxy for the web is none for a server on this machine
        ]
        self._channel = grpc.insecure_channel(address, options=options)
        self._stub: Any = rpc.KronosServiceStub(self._channel)  # type: ignore[no-untyped-call,unused-ignore]
        self.forks: Final = ForksClient(self._call, self._stub)
        self.jobs: Final = JobsClient(self._call, self._stub)
        self.queues: Final = QueuesClient(self._call, self._stub)
        self.dead_letters: Final = DeadLettersClient(self._call, self._stub)
        self.messages: Final = MessagesClient(self._call, self._stub)
        self.schedules: Final = SchedulesClient(self._call, self._stub)
        self.upkeep: Final = UpkeepClient(self._call, self._stub)

    def start(
        self,
        workflow: str,
        input: object = None,  # noqa: A002
        *,
        version: str = "",
        timeout: str = "",
        retention: str = "",
    ) -> str:
        """Start a run and return its id; it is durable then.

        Raises `NotFound` for an unknown workflow, `InvalidInput` whose `facts["field"]` is the path of a wrong value.
        """
        text = canonical.encode(input).decode()
        return self.start_json(workflow, text, version=version, timeout=timeout, retention=retention)

    def start_json(
        self, workflow: str, input_json: str, *, version: str = "", timeout: str = "", retention: str = ""
    ) -> str:
        """`start` with an input that is JSON text already."""
        request = pb.StartWorkflowRequest(
            workflow_name=workflow, version=version, input=input_json, timeout=timeout, retention=retention
        )
        answer = self._call(self._stub.StartWorkflow, request, pb.StartWorkflowResponse)
        return answer.run_id

    def get(self, run_id: str) -> RunRecord:
        """Return one run; raise `NotFound`."""
        return read_run(self._call(self._stub.GetRun, pb.GetRunRequest(run_id=run_id), pb.Run))

    def list(
        self,
        *,
        phases: Sequence[str] = (),
        workflow: str = "",
        where: Mapping[str, str] = MappingProxyType({}),
        limit: int = 50,
        cursor: str | None = None,
    ) -> RunPage:
        """Return a page of runs, newest first."""
        request = pb.ListRunsRequest(
            phases=phases, workflow_name=workflow, limit=limit, cursor=cursor or "", where=dict(where)
        )
        answer = self._call(self._stub.ListRuns, request, pb.ListRunsResponse)
        return RunPage(runs=[read_run(each) for each in answer.runs], next_cursor=answer.next_cursor or None)

    def cancel(self, run_id: str, *, reason: str = "") -> None:
        """Ask for the end of a run; raise `Conflict` when it has ended."""
        self._call(self._stub.CancelRun, pb.CancelRunRequest(run_id=run_id, reason=reason), pb.CancelRunResponse)

    def events(self, run_id: str, *, after: int = 0) -> Iterator[EventRecord]:
        """Yield what is on record of a run after seq `after`, in order."""
        while True:
            request = pb.GetRunEventsRequest(run_id=run_id, after_seq=after, limit=_EVENTS_A_PAGE)
            page = self._call(self._stub.GetRunEvents, request, pb.GetRunEventsResponse)
            yield from map(read_event, page.events)
            if not page.events or page.events[-1].seq >= page.head_seq:
                return
            after = page.events[-1].seq

    def follow(self, run_id: str, *, after: int = 0, timeout_s: float | None = None) -> Iterator[EventRecord]:
        """Yield a run's events as they are recorded, until it is final; raise `StepTimeout` after `timeout_s`."""
        request = pb.StreamRunHistoryRequest(run_id=run_id, after_seq=after)
        try:
            for event in self._stub.StreamRunHistory(request, metadata=self._metadata, timeout=timeout_s):
                yield read_event(event)
        except grpc.RpcError as error:
            raise self._translated(error) from None

    def result(self, run_id: str, timeout_s: float | None = None) -> RunRecord:
        """Return the run once it is final, whatever its end; raise `StepTimeout` after `timeout_s` seconds."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        after = 0
        while not (run := self.get(run_id)).is_final:
            left = None if until is None else max(0.001, until - time.monotonic())
            for event in self.follow(run_id, after=after, timeout_s=left):
                after = event.seq
        return run

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, method: Callable[..., Any], request: object, _answer: type[A]) -> A:
        try:
            return cast("A", method(request, metadata=self._metadata, timeout=self._timeout_s))
        except grpc.RpcError as error:
            raise self._translated(error) from None

    def _translated(self, error: Any) -> KronosError:
        """Return what the server raised, or what keeps it from being reached."""
        trailers = dict(error.trailing_metadata() or ())
        details = error.details() or str(error.code())
        known = _KINDS.get(str(trailers.get("kronos-code", "")))
        if known is not None:
            facts = msgspec.json.decode(trailers.get("kronos-facts-bin") or b"{}")
            return known(details, **{str(key): value for key, value in facts.items()})
        match error.code():
            case grpc.StatusCode.UNAVAILABLE:
                return Unavailable(
                    f"no server answers at {self.address}: start one with `kronos dev` or give its address"
                )
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return StepTimeout(f"{self.address} did not answer in time")
            case grpc.StatusCode.UNAUTHENTICATED:
                return Unauthenticated(details)
            case _:
                return KronosError(f"{self.address}: {details}")


def _kinds(root: type[KronosError]) -> dict[str, type[KronosError]]:
    found = {root.code: root}
    for kind in root.__subclasses__():
        found = {**_kinds(kind), **found}
    return found


_KINDS: Final = _kinds(KronosError)
