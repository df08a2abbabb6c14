"""`client.messages`: what can be said to a server's runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from kronos._proto.v1 import service_pb2 as pb
from kronos.kernel import canonical

__all__ = ["CancelRecord", "MessagesClient"]


class CancelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs fitted, how many were asked to end, and how many had ended just before."""

    matched: int
    asked: int
    ended_meanwhile: int


class MessagesClient:
    """Reached as `client.messages`."""

    def __init__(self, call: Callable[..., Any], stub: Any) -> None:
        self._call = call
        self._stub = stub

    def signal(self, run_id: str, name: str, value: object = None, *, by: str = "", key: str = "") -> None:
        """Send a run a message; with a `key` sending it again is harmless.

        Raises `InvalidInput` when its workflow waits for no such message or the value does not fit, `Conflict` when
        the run has ended.
        """
        text = canonical.encode(value).decode()
        request = pb.SignalRunRequest(run_id=run_id, name=name, value=text, by=by, key=key)
        self._call(self._stub.SignalRun, request, pb.SignalRunResponse)

    def approve(self, run_id: str, step: str = "", *, by: str, reason: str = "") -> str:
        """Approve what a run waits for; return the step's name.  Raises `Conflict` when it does not wait for it."""
        return self._decide(run_id, step, approved=True, by=by, reason=reason)

    def reject(self, run_id: str, step: str = "", *, by: str, reason: str = "") -> str:
        """Reject what a run waits for; return the step's name.  Raises `Conflict` when it does not wait for it."""
        return self._decide(run_id, step, approved=False, by=by, reason=reason)

    def pause(self, run_id: str, *, by: str = "", reason: str = "") -> None:
        """Let a run begin nothing new."""
        request = pb.HoldRunRequest(run_id=run_id, by=by, reason=reason)
        self._call(self._stub.PauseRun, request, pb.HoldRunResponse)

    def resume(self, run_id: str, *, by: str = "", reason: str = "") -> None:
        """Let a paused run go on."""
        request = pb.HoldRunRequest(run_id=run_id, by=by, reason=reason)
        self._call(self._stub.ResumeRun, request, pb.HoldRunResponse)

    def query(self, run_id: str, name: str) -> Any:
        """Return a run's answer to `name`, as plain values; raise `NotFound` for a name that it does not know."""
        answer = self._call(self._stub.QueryRun, pb.QueryRunRequest(run_id=run_id, name=name), pb.QueryRunResponse)
        return msgspec.json.decode(answer.answer)

    def cancel_all(
        self,
        *,
        where: Mapping[str, str],
        workflow: str = "",
        phases: Sequence[str] = (),
        reason: str = "",
        by: str = "",
        dry_run: bool = False,
    ) -> CancelRecord:
        """Ask for the end of every open run that fits, and report; with `dry_run` only count them."""
        request = pb.CancelRunsRequest(
            where=dict(where), workflow_name=workflow, phases=phases, reason=reason, by=by, dry_run=dry_run
        )
        answer = self._call(self._stub.CancelRuns, request, pb.CancelRunsResponse)
        return CancelRecord(matched=answer.matched, asked=answer.asked, ended_meanwhile=answer.ended_meanwhile)

    def _decide(self, run_id: str, step: str, *, approved: bool, by: str, reason: str) -> str:
        request = pb.DecideApprovalRequest(run_id=run_id, step=step, approved=approved, by=by, reason=reason)
        answer = self._call(self._stub.DecideApproval, request, pb.DecideApprovalResponse)
        return str(answer.step)
