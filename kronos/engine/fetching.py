"""What the intake fetches of a run before the loop has it: its history, its values, what its fork stands on.

Rule 1: the loop never waits for the store, so everything is fetched here.
Rule 2: a record that cannot be read concerns its own run alone: many are read at once, and where that fails in halves,
        until the guilty one stands alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from kronos.core.events import Event, Kind
from kronos.core.families import decode_child_ended, encode_child_ended
from kronos.core.state import Run, StepStatus, fold
from kronos.engine.commands import UNREADABLE
from kronos.engine.forked import ForkedRun
from kronos.engine.forking import Ground
from kronos.engine.owned import OwnedRun
from kronos.engine.serving import Served, Serving
from kronos.errors import CorruptHistory, NotFound
from kronos.kernel.ids import RunId
from kronos.kernel.references import blob_of
from kronos.kernel.unreadable import DAMAGE, OURS
from kronos.ports.blobs import Blobs
from kronos.ports.queue import ClaimedRun, Command, LoadedRun, Queue

__all__ = ["Fetching", "Record"]

_OUTCOMES: Final = frozenset({Kind.STEP_COMPLETED, Kind.STEP_FAILED, Kind.STEP_RETRIED})


class Record(NamedTuple):
    """A run's stored events, and their fold."""

    loaded: LoadedRun
    state: Run

    @property
    def last_outcome(self) -> int:
        """The seq at which an attempt last came to an end of its own, 0 when none did."""
        return max((event.seq for event in self.loaded.events if _is_outcome(event)), default=0)

    def takeovers_of(self, claimed: ClaimedRun) -> int:
        """Return how often in a row this run was taken over with an attempt on record as under way, and no progress
        since.

        After the first takeover a run is on probation: its attempts are on record before they run.  So one that merely
        waited beside the guilty one is innocent, and one that dies at once is found out by its second death.
        """
        progress = self.last_outcome > claimed.takeover_seq
        if claimed.lost_owner is None:  # given back in order: that is no death, and no progress either
            return 0 if progress else claimed.takeovers
        under_way = any(
            step.status is StepStatus.RUNNING and step.facts.wait is None and step.facts.worker == claimed.lost_owner
            for step in self.state.steps.values()
        )
        return (0 if progress else claimed.takeovers) + under_way


class Fetching:
    """Belongs to the intake's thread; `around` is what every run in hand is given."""

    def __init__(self, queue: Queue, blobs: Blobs, serving: Serving, around: Mapping[str, Any]) -> None:
        self._queue = queue
        self._blobs = blobs
        self._serving = serving
        self._around = around

    def own(self, claimed: ClaimedRun) -> OwnedRun:
        """Return a run that can be advanced, with the ground of a fork."""
        served = self._serving.get(claimed.definition)
        if claimed.changes is None:
            return self.own_plainly(claimed)
        return ForkedRun(claimed, served, self._ground(claimed, served, claimed.changes), **self._around)

    def own_plainly(self, claimed: ClaimedRun) -> OwnedRun:
        """Return a run that can be ended, whatever it stands on."""
        return OwnedRun(claimed, self._serving.get(claimed.definition), **self._around)

    def _ground(self, claimed: ClaimedRun, served: Served, changes: bytes) -> Ground:
        ground = Ground(served, changes)
        if ground.fork.reuse != "none" and claimed.parent is not None:
            ground.add(self._queue.past_outcomes(claimed.parent, claimed.parent_seq), self._payload)
        return ground

    def records(self, claimed: Sequence[ClaimedRun]) -> tuple[dict[RunId, Record], dict[RunId, Exception]]:
        """Return the histories that can be read and folded, and why the others cannot."""
        try:
            loaded = self._queue.load(claimed)
            return {run.id: Record(loaded[run.id], fold(run.id, loaded[run.id].events)) for run in claimed}, {}
        except OURS:
            raise
        except DAMAGE as error:
            if len(claimed) == 1:
                return {}, {claimed[0].id: error}
        middle = len(claimed) // 2
        (good, bad), (more, worse) = self.records(claimed[:middle]), self.records(claimed[middle:])
        return good | more, bad | worse

    def outputs(self, state: Run) -> dict[str, bytes]:
        """Return what the completed steps of a run came to."""
        return {
            step: self._payload(bytes(known.facts.output))
            for step, known in state.steps.items()
            if known.status is StepStatus.COMPLETED and known.facts.output is not msgspec.UNSET
        }

    def whole(self, command: Command) -> Command:
        """Return a command with the values that it names."""
        if command.kind != "child_ended" or b'"$blob"' not in command.body:
            return command
        try:
            ended = decode_child_ended(command.body)
            output = msgspec.Raw(self._payload(bytes(ended.output)))
        except (NotFound, CorruptHistory, *UNREADABLE) as error:
            return command._replace(trouble=str(error))
        return command._replace(body=encode_child_ended(msgspec.structs.replace(ended, output=output)))

    def _payload(self, value: bytes) -> bytes:
        blob = blob_of(value)
        return value if blob is None else self._blobs.get(blob)


def _is_outcome(event: Event) -> bool:
    """Whether an attempt came to an end of its own: a lost one is no progress."""
    failure = event.facts.failure
    return event.kind in _OUTCOMES and (failure is None or failure.cause != "lost")
