"""/api/v1 of forks: making one, retrying, and the family of a run."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from kronos.app import Changes
from kronos.kernel import canonical
from kronos.kernel.ids import RunId
from kronos.ports.lineage import Kin
from kronos.server import shapes
from kronos.server.api import Desk, Endpoint, NoQuery, run_id_of
from kronos.server.responses import json_response

__all__ = ["ENDPOINTS"]


class ForkBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Where to fork (`at` a step, or `at_seq`), and what to change; values are plain JSON."""

    at: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None
    at_seq: int | None = None
    input: Any = msgspec.UNSET
    inputs: dict[str, dict[str, Any]] = {}
    outputs: dict[str, Any] = {}
    version: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None
    allow_external: bool = False


class RetryBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Whether it may act on the world outside once more."""

    allow_external: bool = False


def _lineage(desk: Desk, request: Request, query: NoQuery, _: bytes) -> Response:
    family = desk.app.forks.family(run_id_of(request))
    shape = shapes.Family(
        run=_kin(family.run),
        ancestors=[_kin(kin) for kin in family.ancestors],
        descendants=[_kin(kin) for kin in family.descendants],
        is_cut=family.is_cut,
    )
    return json_response(shape)


def _fork(desk: Desk, request: Request, query: NoQuery, body: bytes) -> Response:
    wish = canonical.decode(body, ForkBody) if body.strip() else ForkBody()
    changes = Changes(
        input=wish.input,
        inputs=wish.inputs,
        outputs=wish.outputs,
        version=wish.version,
        allow_external=wish.allow_external,
    )
    made = desk.app.fork(run_id_of(request), at=wish.at, at_seq=wish.at_seq, changes=changes)
    return _made(made)


def _retry(desk: Desk, request: Request, query: NoQuery, body: bytes) -> Response:
    wish = canonical.decode(body, RetryBody) if body.strip() else RetryBody()
    return _made(desk.app.forks.retry(run_id_of(request), allow_external=wish.allow_external))


def _made(run_id: RunId) -> Response:
    return json_response(shapes.Forked(run_id=run_id), 201)


def _kin(kin: Kin) -> shapes.KinLine:
    return shapes.KinLine(
        id=kin.run_id,
        parent=kin.parent,
        parent_seq=kin.parent_seq,
        workflow=kin.workflow,
        version=kin.version,
        phase=kin.phase,
        created_at=str(kin.created_at),
        changed=kin.changed,
    )


_RUN: Final = "/api/v1/runs/{run_id}"

ENDPOINTS: Final = (
    Endpoint(
        path=f"{_RUN}/lineage", summary="The runs that a run comes from, and those that come from it",
        handle=_lineage, answer=shapes.Family,
    ),
    Endpoint(
        path=f"{_RUN}/fork", summary="Go back to a moment of a run, and run on from there otherwise",
        handle=_fork, method="POST", body=ForkBody, answer=shapes.Forked, status=201,
    ),
    Endpoint(
        path=f"{_RUN}/retry", summary="Run again what failed, in a fork that keeps what completed",
        handle=_retry, method="POST", body=RetryBody, answer=shapes.Forked, status=201,
    ),
)  # fmt: skip
