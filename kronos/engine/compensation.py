"""What a run undoes before it ends as failed or cancelled: its completed steps that say how, the last one first.

Rule 1: that it is being undone, for which end, is on record before the first undo begins; a takeover goes on there.
Rule 2: each undo is a step of its own (`undo:NAME`), given the output of what it undoes, with attempts of its own; one
        that fails for good is recorded and does not keep the others from being tried.
Rule 3: nothing else begins meanwhile; attempts that run are asked to end and are waited for, since what completes after
        all must be undone too.
Rule 4: what was given up as a killer of its workers, or cannot be recorded, is not undone: it ends at once.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kronos.core.events import Kind, RunFacts
from kronos.core.graph import node_name
from kronos.core.inputs import UNDO
from kronos.core.state import StepStatus
from kronos.engine.kinship import Kinship
from kronos.engine.tasks import Task
from kronos.ports.queue import DeadLetter

__all__ = ["Compensation"]

_OVER: Final = frozenset({StepStatus.COMPLETED, StepStatus.FAILED})
_ENDING: Final = {"failed": Kind.RUN_FAILED, "cancelled": Kind.RUN_CANCELLED}


class Compensation(Kinship):
    """The part of an owned run that undoes."""

    __slots__ = ()

    def conclude(self, kind: Kind, facts: RunFacts, letter: DeadLetter | None = None) -> None:
        """Record the end of a run that did not complete, once everything is undone that says how."""
        if letter is None and self._undoing is None and self._has_to_undo():
            self._begin_undoing(kind, facts)
        if letter is None and self._undoing is not None:
            self.log.buffer.after_commit += self.undo_next()
        else:
            self.log.end(kind, facts, dead=letter)

    def _has_to_undo(self) -> bool:
        undoable = self._graph.undoable
        if not undoable or self._is_refused:
            return False
        return any(node_name(step) in undoable for step in self.active) or bool(self._to_undo())

    def _begin_undoing(self, kind: Kind, facts: RunFacts) -> None:
        self._undoing = msgspec.structs.replace(facts, ending=kind.removeprefix("run_"))
        self.log.append(Kind.RUN_COMPENSATING, self._undoing)
        # a wish to cancel has become a fact here, not only at the end
        if self.log.buffer.has_beside:
            beside = self.log.buffer.beside
            beside.drained += beside.drained_by_end
            beside.drained_by_end.clear()
        self.unwanted += self.active.items()

    def undo_next(self) -> list[Task]:
        """Return the next undo, unless one is under way; with none left, record the end."""
        assert self._undoing is not None, "an end is to come"
        if self.active or self.is_held or self.is_over:
            return []
        if self._left_to_undo is None:
            self._left_to_undo = self._to_undo()
        left = self._left_to_undo
        while left:
            undo = f"{UNDO}{left[-1]}"
            if undo in self.waits:
                return []
            if self.log.status(undo) not in _OVER:
                tasks = self.begin_step(undo)
                if self.active:
                    return tasks
            left.pop()
        kind = _ENDING[self._undoing.ending or ""]
        self.log.end(kind, msgspec.structs.replace(self._undoing, ending=None))
        return []

    def _to_undo(self) -> list[str]:
        """Return the completed steps that say how they are undone, in the order in which they completed."""
        undoable, steps = self._graph.undoable, self.log.state.steps
        found = [
            (known.facts.finished or 0, known.facts.started or 0, step)
            for step, known in steps.items()
            if known.status is StepStatus.COMPLETED
            and node_name(step) in undoable
            and self._graph.kind_of(step) == "step"
            and self.log.status(f"{UNDO}{step}") not in _OVER
        ]
        return [step for _, _, step in sorted(found)]

    def retry(self, step: str) -> list[Task]:
        """Return what begins now that `step` is due; while undoing that is an undo, and nothing else."""
        if self._undoing is None:
            return super().retry(step)
        if self.is_over or not step.startswith(UNDO) or self.log.status(step) is not StepStatus.RETRYING:
            return []
        self.waits.pop(step, None)
        return self.undo_next()
