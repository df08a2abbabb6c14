"""/api/v1 as a table: every endpoint with its question, its answer and its words.

Rule 1: the router and the OpenAPI document are both made from `ENDPOINTS`, so they cannot disagree.
Rule 2: a question is a type; what does not fit it is refused by an error that names the parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from kronos.app import Kronos
from kronos.core import events as core
from kronos.core.attributes import parse_where
from kronos.core.state import Phase
from kronos.errors import InvalidInput
from kronos.kernel import canonical
from kronos.kernel.ids import RunId, parse_run_id
from kronos.ports.history import RunFilter
from kronos.server import shapes
from kronos.server.positions import Positions
from kronos.server.reading import Budget, Reading
from kronos.server.responses import JSON, json_response
from kronos.server.timelines import Timelines

__all__ = ["ENDPOINTS", "CancelBody", "Desk", "Endpoint", "NoQuery", "read_query", "run_id_of"]

PAYLOAD_MAX: Final = 1_048_576
BODY_MAX: Final = 65_536

Size = Annotated[int, msgspec.Meta(ge=0, le=PAYLOAD_MAX, description="bytes of each recorded value, at most")]
Seq = Annotated[int, msgspec.Meta(ge=0)]


class Desk:
    """What the endpoints need of the server."""

    def __init__(self, app: Kronos) -> None:
        self.app: Final = app
        self.reading: Final = Reading(app.history)
        self.positions: Final = Positions(self.reading)
        self.timelines: Final = Timelines(app.history)


class NoQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """No parameters."""


class RunsQuery(NoQuery, forbid_unknown_fields=True, kw_only=True):
    """Which runs; `where` as in `symbol=BTC`, `cursor` is the `next` of the page before."""

    phase: tuple[Phase, ...] = ()
    workflow: str | None = None
    where: tuple[str, ...] = ()
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50


class RunQuery(NoQuery, forbid_unknown_fields=True, kw_only=True):
    """How much of each recorded value."""

    payload_max: Size = 4_096


class EventsQuery(NoQuery, forbid_unknown_fields=True, kw_only=True):
    """Which events; `facts` adds what each made known."""

    after: Seq = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 200
    facts: bool = False
    payload_max: Size = 1_024


class StateQuery(NoQuery, forbid_unknown_fields=True, kw_only=True):
    """Which position (none: now), and the values of which steps: "all", "none", or one step's name."""

    seq: Seq | None = None
    payloads: str = "all"
    payload_max: Size = 4_096


class PayloadQuery(NoQuery, forbid_unknown_fields=True, kw_only=True):
    """Which value, of the run or of one `step`, as of which position (none: now)."""

    part: Literal["input", "output"]
    step: str | None = None
    seq: Seq | None = None


class CancelBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Why the run is to end."""

    reason: Annotated[str, msgspec.Meta(max_length=1_000)] = ""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One line of the table; `answer` is a shape, or None for `media`."""

    path: str
    summary: str
    handle: Callable[[Desk, Request, Any, bytes], Response]
    method: Literal["GET", "POST"] = "GET"
    query: type[NoQuery] = NoQuery
    body: type[msgspec.Struct] | None = None
    answer: type[msgspec.Struct] | None = None
    media: str = JSON
    status: int = 200


def read_query(request: Request, query: type[NoQuery]) -> Any:
    """Return the parameters of `request` as `query`; raise `InvalidInput` naming the one that does not fit."""
    given: dict[str, Any] = {}
    known = {field.name: field.type for field in msgspec.structs.fields(query)}
    for name in request.query_params:
        values = [value for value in request.query_params.getlist(name) if value]  # an empty form field says nothing
        if not values:
            continue
        many = "tuple" in str(known.get(name, ""))
        if len(values) > 1 and not many:
            raise InvalidInput(f"parameter {name!r} is given {len(values)} times", field=name, value=values)
        given[name] = values if many else values[0]
    try:
        return msgspec.convert(given, query, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        field = path.rstrip("`").removeprefix("$.") or reason.split("`")[1] if "`" in str(error) else "query"
        name = field.partition("[")[0]
        value = given.get(name)
        shown = "" if value is None else f" is {value!r}, which cannot be used"
        raise InvalidInput(f"parameter {name!r}{shown}: {reason}", field=name, value=value) from None


def run_id_of(request: Request) -> RunId:
    """Return the run id in the path."""
    return parse_run_id(request.path_params["run_id"])


def _runs(desk: Desk, request: Request, query: RunsQuery, _: bytes) -> Response:
    chosen = RunFilter(
        phases=query.phase,
        workflow=query.workflow or None,
        where=parse_where(query.where),
        before=None if query.cursor is None else parse_run_id(query.cursor),
        limit=query.limit,
    )
    return json_response(desk.reading.runs(chosen))


def _run(desk: Desk, request: Request, query: RunQuery, _: bytes) -> Response:
    return json_response(desk.reading.detail(run_id_of(request), Budget(each=query.payload_max)))


def _events(desk: Desk, request: Request, query: EventsQuery, _: bytes) -> Response:
    budget = Budget(each=query.payload_max) if query.facts else None
    page = desk.reading.events(run_id_of(request), after=query.after, limit=query.limit, budget=budget)
    return json_response(page)


def _event(desk: Desk, request: Request, query: NoQuery, _: bytes) -> Response:
    fact = desk.positions.fact(run_id_of(request), request.path_params["seq"])
    return Response(core.encode_facts(fact.facts), media_type=JSON)


def _state(desk: Desk, request: Request, query: StateQuery, _: bytes) -> Response:
    budget = Budget(each=query.payload_max)
    return json_response(desk.positions.state(run_id_of(request), query.seq, payloads=query.payloads, budget=budget))


def _timeline(desk: Desk, request: Request, query: NoQuery, _: bytes) -> Response:
    return json_response(desk.timelines.timeline(run_id_of(request)))


def _payload(desk: Desk, request: Request, query: PayloadQuery, _: bytes) -> Response:
    data = desk.positions.value(run_id_of(request), query.part, step=query.step, seq=query.seq)
    return Response(data, media_type=JSON)


def _cancel(desk: Desk, request: Request, query: NoQuery, body: bytes) -> Response:
    run_id = run_id_of(request)
    wish = canonical.decode(body, CancelBody) if body.strip() else CancelBody()
    desk.app.cancel(run_id, reason=wish.reason, by="http")
    return json_response(shapes.Accepted(run_id=run_id, accepted=True), 202)


def _workflows(desk: Desk, request: Request, query: NoQuery, _: bytes) -> Response:
    return json_response(desk.reading.workflows())


_RUN: Final = "/api/v1/runs/{run_id}"

ENDPOINTS: Final = (
    Endpoint(path="/api/v1/runs", summary="Runs, newest first", handle=_runs, query=RunsQuery, answer=shapes.RunList),
    Endpoint(path=_RUN, summary="One run with its graph", handle=_run, query=RunQuery, answer=shapes.RunDetail),
    Endpoint(
        path=f"{_RUN}/events",
        summary="A page of a run's history, single facts in order",
        handle=_events,
        query=EventsQuery,
        answer=shapes.EventPage,
    ),
    Endpoint(path=f"{_RUN}/events/{{seq:int}}", summary="What one event made known, whole", handle=_event),
    Endpoint(
        path=f"{_RUN}/state",
        summary="The run as of an event",
        handle=_state,
        query=StateQuery,
        answer=shapes.RunState,
    ),
    Endpoint(
        path=f"{_RUN}/timeline",
        summary="The whole run in at most 4,000 points",
        handle=_timeline,
        answer=shapes.Timeline,
    ),
    Endpoint(path=f"{_RUN}/payload", summary="A recorded value, whole", handle=_payload, query=PayloadQuery),
    Endpoint(
        path=f"{_RUN}/cancel",
        summary="Ask for the end of a run",
        handle=_cancel,
        method="POST",
        body=CancelBody,
        answer=shapes.Accepted,
        status=202,
    ),
    Endpoint(
        path="/api/v1/workflows", summary="The registered workflows", handle=_workflows, answer=shapes.WorkflowList
    ),
)
"""What can be asked; the stream and the document itself are added by `http`."""
