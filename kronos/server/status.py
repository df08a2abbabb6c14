"""One table: what an error is called on each wire.

Rule 1: `KronosError.code` alone decides; a surface never looks at the class or the message.
Rule 2: an error that Kronos did not raise on purpose is `internal`: logged whole, told in one sentence.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import grpc
import msgspec

from kronos.errors import KronosError
from kronos.kernel import canonical

__all__ = ["STATUS", "Busy", "Status", "facts_of", "message_of", "public", "status_of"]

FACT_MAX: Final = 400
FACTS_MAX: Final = 8
MESSAGE_MAX: Final = 1_500

log = logging.getLogger("kronos.server")


class Status(NamedTuple):
    """The two names of one outcome."""

    grpc: grpc.StatusCode
    http: int


STATUS: Final[Mapping[str, Status]] = {
    "invalid_input": Status(grpc.StatusCode.INVALID_ARGUMENT, 400),
    "invalid_definition": Status(grpc.StatusCode.INVALID_ARGUMENT, 400),
    "invalid_data": Status(grpc.StatusCode.INVALID_ARGUMENT, 400),
    "unauthenticated": Status(grpc.StatusCode.UNAUTHENTICATED, 401),
    "permission_denied": Status(grpc.StatusCode.PERMISSION_DENIED, 403),
    "not_found": Status(grpc.StatusCode.NOT_FOUND, 404),
    "conflict": Status(grpc.StatusCode.FAILED_PRECONDITION, 409),
    "cancelled": Status(grpc.StatusCode.CANCELLED, 409),
    "effect_blocked": Status(grpc.StatusCode.FAILED_PRECONDITION, 409),
    "lease_lost": Status(grpc.StatusCode.ABORTED, 409),
    "unavailable": Status(grpc.StatusCode.UNAVAILABLE, 503),
    "busy": Status(grpc.StatusCode.RESOURCE_EXHAUSTED, 503),
    "timeout": Status(grpc.StatusCode.DEADLINE_EXCEEDED, 504),
    "illegal_transition": Status(grpc.StatusCode.DATA_LOSS, 500),
    "invariant_breach": Status(grpc.StatusCode.DATA_LOSS, 500),
    "corrupt_history": Status(grpc.StatusCode.DATA_LOSS, 500),
    "internal": Status(grpc.StatusCode.INTERNAL, 500),
}


class Busy(KronosError):  # noqa: N818 - as its siblings in kronos.errors
    """A bound of the server is reached; the same request may succeed later."""

    code = "busy"


def status_of(error: KronosError) -> Status:
    """Return the statuses of `error`."""
    return STATUS.get(error.code, STATUS["internal"])


def facts_of(error: KronosError) -> dict[str, Any]:
    """Return the facts of `error` as JSON-ready builtins; a large one is shown as the start of a text."""
    return {name: _bounded(_plain(value)) for name, value in list(error.facts.items())[:FACTS_MAX]}


def message_of(error: KronosError) -> str:
    """Return the message, cut to what the metadata of a call can carry."""
    return error.message if len(error.message) <= MESSAGE_MAX else error.message[: MESSAGE_MAX - 1] + "…"


def public(error: Exception, *, where: str) -> KronosError:
    """Return what a caller may know of `error`; log what they may not."""
    if isinstance(error, KronosError):
        return error
    log.error("%s failed", where, exc_info=error)
    return KronosError(f"{where} failed inside the server ({type(error).__name__}): its log says why")


def _bounded(value: Any) -> Any:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return value if len(text) <= FACT_MAX else text[: FACT_MAX - 1] + "…"


def _plain(value: object) -> Any:
    try:
        return msgspec.to_builtins(canonical.to_plain(value), str_keys=True)
    except KronosError:
        return str(value)
