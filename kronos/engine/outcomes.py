"""How an attempt ended, as an inbox row: written where it ran, turned into events by the run's owner.

Rule 1: the id of the row is derived from run, step and attempt, so that sending it twice is sending it once.
Rule 2: an outcome that nobody awaits any more (the attempt was given up, the run has ended) becomes nothing.
"""

from __future__ import annotations

import uuid
from typing import Final

import msgspec

from kronos.core.costs import Costs
from kronos.core.events import Attribute, Effect, Failure
from kronos.engine.tasks import Outcome
from kronos.kernel.ids import IncarnationId, RunId

__all__ = ["SentOutcome", "outcome_body", "outcome_id", "read_outcome", "read_outcomes", "sent_outcome"]

_NULL: Final = msgspec.Raw(b"null")


class SentOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an `outcome` command.  Times are ns of the run clock; `output` is canonical JSON.

    With a `failure` the output says nothing; without one it is the result, which may be null.
    """

    step: str
    attempt: int
    worker: int
    started: int
    finished: int
    output: msgspec.Raw = _NULL
    failure: Failure | None = None
    effects: tuple[Effect, ...] = ()
    costs: Costs | None = None
    attributes: dict[str, Attribute | None] | None = None

    @property
    def outcome(self) -> Outcome:
        """What the slot said."""
        output = None if self.failure is not None else bytes(self.output)
        return Outcome(output, self.failure, self.effects, self.started, self.finished, self.costs, self.attributes)


_encode: Final = msgspec.json.Encoder().encode
read_outcome: Final = msgspec.json.Decoder(SentOutcome).decode
read_outcomes: Final = msgspec.json.Decoder(list[SentOutcome]).decode


def outcome_id(run: RunId, step: str, attempt: int) -> uuid.UUID:
    """Return the command id of the outcome of one attempt."""
    return uuid.uuid5(uuid.UUID(run), f"{step}/{attempt}")


def outcome_body(step: str, attempt: int, outcome: Outcome, *, worker: IncarnationId) -> bytes:
    """Return the body of the command that tells the owner how an attempt ended on `worker`."""
    return _encode(sent_outcome(step, attempt, outcome, worker=worker))


def sent_outcome(step: str, attempt: int, outcome: Outcome, *, worker: IncarnationId) -> SentOutcome:
    """Return an outcome as it travels."""
    return SentOutcome(
        step=step,
        attempt=attempt,
        worker=worker,
        started=outcome.started_ns,
        finished=outcome.finished_ns,
        output=_NULL if outcome.output is None else msgspec.Raw(outcome.output),
        failure=outcome.failure,
        effects=outcome.effects,
        costs=outcome.costs,
        attributes=outcome.attributes,
    )
