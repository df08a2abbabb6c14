"""How each kind of node begins: the one place where the engine asks what a step is.

Rule 1: a beginning never waits.  It returns attempts for slots, or records what the step now waits for.
Rule 2: a node that holds others goes on record as opened (`step_expanded`) in the turn that makes the first of them
        ready, so that a takeover finds either nothing or all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias

from kronos.core.asking import WAITS
from kronos.core.plan import Plan
from kronos.engine.tasks import Task
from kronos.errors import InvalidInput
from kronos.kernel import canonical

__all__ = ["KINDS", "Beginning"]


class Beginning(Protocol):
    """What a beginning may ask of its run."""

    plan: Plan

    def attempt(self, step: str) -> list[Task]:
        """Return the next attempt of a step that executes code."""
        ...

    def open(self, step: str, *, elements: int | None = None, arm: str | None = None) -> None:
        """Record that a node that holds others was opened."""
        ...

    def skip(self, step: str) -> None:
        """Record that a step will not be taken."""
        ...

    def wait_for(self, step: str) -> None:
        """Record that a step waits for a time, a message or somebody's word."""
        ...

    def rounds_max(self, loop: str) -> int:
        """Return the bound of a loop."""
        ...

    def start_child(self, step: str) -> None:
        """Start the run that a step waits for."""
        ...

    def finish(self, step: str, output: bytes) -> None:
        """Record the end of a step that executes nothing."""
        ...


Begin: TypeAlias = Callable[[Beginning, str], list[Task]]


def _execute(run: Beginning, step: str) -> list[Task]:
    return run.attempt(step)


def _spread(run: Beginning, step: str) -> list[Task]:
    run.open(step, elements=run.plan.spread(step))
    return []


def _choose(run: Beginning, step: str) -> list[Task]:
    condition = canonical.decode(run.plan.inputs.of(step))["condition"]
    if not isinstance(condition, bool):
        raise InvalidInput(f"step {step!r} needs true or false, and was given {condition!r}", field="condition")
    arm = "then" if condition else "otherwise"
    run.open(step, arm=arm)
    for other in run.plan.choose(step, arm):
        run.skip(other)
    return []


def _repeat(run: Beginning, step: str) -> list[Task]:
    run.plan.repeat(step)
    run.open(step, elements=run.rounds_max(step))
    return []


def _wait(run: Beginning, step: str) -> list[Task]:
    run.wait_for(step)
    return []


def _start_child(run: Beginning, step: str) -> list[Task]:
    run.start_child(step)
    return []


def _continue(run: Beginning, step: str) -> list[Task]:
    run.plan.inputs.of(step)  # bound now, so that what is wrong with it is the failure of this step
    run.finish(step, b"null")
    return []


KINDS: Final[Mapping[str, Begin]] = {
    "step": _execute,
    "undo": _execute,
    "map": _spread,
    "branch": _choose,
    "loop": _repeat,
    **dict.fromkeys(WAITS, _wait),
    "child": _start_child,
    "continue": _continue,
}
"""What a step is (`Graph.kind_of`) to how it begins."""
