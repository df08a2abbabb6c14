"""Every error that Kronos raises on purpose, as one tree.

Rule 1: a message names the field, the value and what to do next.
Rule 2: facts travel beside the message, never only inside it, so that a caller can act on them.
Rule 3: `code` alone decides the gRPC status, the HTTP status and the exit code (server.status).
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "Cancelled",
    "Conflict",
    "CorruptHistory",
    "DataError",
    "EffectBlocked",
    "InvalidInput",
    "InvariantBreach",
    "KronosError",
    "LeaseLost",
    "NotFound",
    "PermissionDenied",
    "StepTimeout",
    "TransitionError",
    "Unauthenticated",
    "Unavailable",
    "WorkflowDefinitionError",
]


class KronosError(Exception):
    """The root. `facts` holds what the message says, for programs."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class InvalidInput(KronosError):
    """A caller's value cannot be accepted; `facts` has `field` and `value` where they are known."""

    code = "invalid_input"


class WorkflowDefinitionError(InvalidInput):
    """A workflow or step is not well defined; found at registration, before anything runs."""

    code = "invalid_definition"


class DataError(InvalidInput):
    """A file or dataset cannot be accepted; `facts` has `file` and `row` where they are known."""

    code = "invalid_data"


class NotFound(KronosError):
    """There is no such run, step, workflow, dataset or position."""

    code = "not_found"


class Conflict(KronosError):
    """The request contradicts what is already recorded."""

    code = "conflict"


class TransitionError(KronosError):
    """An event does not follow from the state it meets: a fault of ours or a damaged history."""

    code = "illegal_transition"


class CorruptHistory(KronosError):
    """A recorded history contradicts its own hashes or its own sequence."""

    code = "corrupt_history"


class InvariantBreach(KronosError):
    """A run is in a state that must never be: it halts; `facts` has `breaches` and the `state` that broke them."""

    code = "invariant_breach"


class Unauthenticated(KronosError):
    """No token, or a wrong one."""

    code = "unauthenticated"


class PermissionDenied(KronosError):
    """Known, but not allowed."""

    code = "permission_denied"


class Unavailable(KronosError):
    """A database, port or server that is needed does not answer; trying again may help."""

    code = "unavailable"


class LeaseLost(KronosError):
    """This incarnation was declared dead: it may record nothing more."""

    code = "lease_lost"


class StepTimeout(KronosError):
    """A step ran past its limit."""

    code = "timeout"


class Cancelled(KronosError):
    """The work was cancelled by request."""

    code = "cancelled"


class EffectBlocked(KronosError):
    """Replay met an effect that the recording does not know, or one that it must not perform."""

    code = "effect_blocked"
