"""/api/v1 of what is said to runs: messages, decisions, pauses, questions."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from kronos.app.messages import pending_approvals
from kronos.kernel import canonical
from kronos.server import shapes
from kronos.server.api import Desk, Endpoint, NoQuery, run_id_of
from kronos.server.reading import ns
from kronos.server.responses import JSON, json_response

__all__ = ["ENDPOINTS"]

Text = Annotated[str, msgspec.Meta(max_length=1_000)]


class DecideBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Who decides, and why; `step` may be left out where the run waits for one decision only."""

    by: Text
    reason: Text = ""
    step: Text = ""


class HoldBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Who holds the run or lets it go, and why."""

    by: Text = ""
    reason: Text = ""


class SignalBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A message; with a `key` sending it again is harmless."""

    name: Text
    value: Any = None
    by: Text = ""
    key: Text = ""


class QueryName(NoQuery, forbid_unknown_fields=True, kw_only=True):
    """What is asked."""

    name: str


def _standing(desk: Desk, request: Request, query: NoQuery, _: bytes) -> Response:
    run_id = run_id_of(request)
    run = desk.app.history.state_at(run_id)
    pause = run.notes.pause
    shape = shapes.Standing(
        approvals=[
            shapes.AskedApproval(
                step=each.step,
                who=each.who,
                message=bytes(each.message).decode(),
                since=str(each.since),
                due=ns(each.due),
            )
            for each in pending_approvals(run)
        ],
        pause=None if pause is None else shapes.Held(by=pause.by, reason=pause.reason, at=str(pause.at)),
    )
    return json_response(shape)


def _decide(desk: Desk, request: Request, body: bytes, *, approved: bool) -> Response:
    run_id, wish = run_id_of(request), canonical.decode(body or b"{}", DecideBody)
    say = desk.app.approve if approved else desk.app.reject
    say(run_id, wish.step or None, by=wish.by, reason=wish.reason)
    return json_response(shapes.Accepted(run_id=run_id, accepted=True), 202)


def _approve(desk: Desk, request: Request, query: NoQuery, body: bytes) -> Response:
    return _decide(desk, request, body, approved=True)


def _reject(desk: Desk, request: Request, query: NoQuery, body: bytes) -> Response:
    return _decide(desk, request, body, approved=False)


def _pause(desk: Desk, request: Request, query: NoQuery, body: bytes) -> Response:
    run_id, wish = run_id_of(request), canonical.decode(body or b"{}", HoldBody)
    desk.app.pause(run_id, by=wish.by or "http", reason=wish.reason)
    return json_response(shapes.Accepted(run_id=run_id, accepted=True), 202)


def _resume(desk: Desk, request: Request, query: NoQuery, body: bytes) -> Response:
    run_id, wish = run_id_of(request), canonical.decode(body or b"{}", HoldBody)
    desk.app.resume(run_id, by=wish.by or "http", reason=wish.reason)
    return json_response(shapes.Accepted(run_id=run_id, accepted=True), 202)


def _signal(desk: Desk, request: Request, query: NoQuery, body: bytes) -> Response:
    run_id, wish = run_id_of(request), canonical.decode(body or b"{}", SignalBody)
    desk.app.signal(run_id, wish.name, wish.value, by=wish.by or "http", key=wish.key)
    return json_response(shapes.Accepted(run_id=run_id, accepted=True), 202)


def _query(desk: Desk, request: Request, query: QueryName, _: bytes) -> Response:
    answer = desk.app.query(run_id_of(request), query.name)
    return Response(msgspec.json.encode(answer), media_type=JSON)


_RUN: Final = "/api/v1/runs/{run_id}"


def _post(word: str, summary: str, handle: Any, body: type[msgspec.Struct]) -> Endpoint:
    return Endpoint(
        path=f"{_RUN}/{word}",
        summary=summary,
        handle=handle,
        method="POST",
        body=body,
        answer=shapes.Accepted,
        status=202,
    )


ENDPOINTS: Final = (
    Endpoint(
        path=f"{_RUN}/standing",
        summary="The decisions that a run waits for, and who holds it",
        handle=_standing,
        answer=shapes.Standing,
    ),
    Endpoint(path=f"{_RUN}/query", summary="A run's answer to a question", handle=_query, query=QueryName),
    _post("approve", "Approve what a run waits for", _approve, DecideBody),
    _post("reject", "Reject what a run waits for", _reject, DecideBody),
    _post("signal", "Send a run a message", _signal, SignalBody),
    _post("pause", "Let a run begin nothing new", _pause, HoldBody),
    _post("resume", "Let a paused run go on", _resume, HoldBody),
)
