"""What every call of the service does alike: it answers or refuses, and names what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

import grpc
import msgspec

from kronos._proto.v1 import service_pb2 as pb
from kronos.core.events import Failure
from kronos.core.state import Phase
from kronos.errors import InvalidInput, KronosError
from kronos.kernel.ids import RunId, parse_run_id
from kronos.server.status import facts_of, message_of, public, status_of

__all__ = ["abort", "answer", "failure_message", "read_phase", "read_run_id"]

T = TypeVar("T")


def abort(context: grpc.ServicerContext, error: KronosError) -> NoReturn:
    """End the call with the status, the message and the facts of `error`."""
    facts = msgspec.json.encode(facts_of(error))
    # trailing metadata is ASCII; JSON of non-ASCII facts travels under a -bin key, which carries bytes
    context.set_trailing_metadata((("kronos-code", error.code), ("kronos-facts-bin", facts)))
    context.abort(status_of(error).grpc, message_of(error))
    raise AssertionError("abort raises")


def answer(context: grpc.ServicerContext, name: str, ask: Callable[[], T]) -> T:
    """Return what `ask` returns; end the call with the error that it raises."""
    try:
        return ask()
    except Exception as error:
        abort(context, public(error, where=name))


def read_run_id(text: str, *, field: str = "run_id") -> RunId:
    """Return a run's id; raise `InvalidInput` naming `field`."""
    if not text:
        raise InvalidInput(f"{field} is empty: give the id of a run", field=field, value=text)
    return parse_run_id(text)


def read_phase(text: str) -> Phase:
    """Return a phase; raise `InvalidInput` where there is none such."""
    try:
        return Phase(text)
    except ValueError:
        known = ", ".join(Phase)
        raise InvalidInput(f"phase {text!r} is unknown; known: {known}", field="phases", value=text) from None


def failure_message(failure: Failure | None) -> pb.Failure | None:
    """Return a recorded failure as it travels."""
    if failure is None:
        return None
    return pb.Failure(type=failure.type, message=failure.message, cause=failure.cause, traceback=failure.traceback)
