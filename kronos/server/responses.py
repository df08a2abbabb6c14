"""How an answer is put on the wire: shapes as JSON, errors in their envelope."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.responses import Response

from kronos.errors import KronosError
from kronos.server import shapes
from kronos.server.status import facts_of, message_of, status_of

__all__ = ["JSON", "error_response", "json_response"]

JSON: Final = "application/json"
_encode: Final = msgspec.json.Encoder().encode


def json_response(value: object, status: int = 200) -> Response:
    """Return `value` as JSON."""
    return Response(_encode(value), status_code=status, media_type=JSON)


def error_response(error: KronosError) -> Response:
    """Return the envelope of `error` under its HTTP status."""
    body = shapes.ErrorBody(code=error.code, message=message_of(error), facts=facts_of(error))
    answer = json_response(shapes.ErrorEnvelope(error=body), status_of(error).http)
    if answer.status_code == 401:
        answer.headers["www-authenticate"] = "Bearer"
    return answer
