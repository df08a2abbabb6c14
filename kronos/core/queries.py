"""Questions to a run: pure functions over what has happened to it, evaluated by whoever asks.

Rule: a query is given a view and returns a value; it changes nothing, and asks nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from kronos.core.events import Attribute
from kronos.core.state import Run, StepStatus
from kronos.errors import NotFound
from kronos.kernel import canonical

__all__ = ["Query", "RunView"]


class RunView:
    """What a query may look at: a run as of now.  Values are decoded JSON."""

    def __init__(self, run: Run, run_input: bytes, payload: Callable[[Any], bytes]) -> None:
        self._run = run
        self._input = run_input
        self._payload = payload

    @property
    def input(self) -> Any:
        """The run's input."""
        return canonical.decode(self._input)

    @property
    def phase(self) -> str:
        """Where the run stands, by its history."""
        return self._run.phase.value

    @property
    def steps(self) -> Mapping[str, str]:
        """Each step that was begun, and where it stands."""
        return {step: known.status.value for step, known in sorted(self._run.steps.items())}

    def output(self, step: str) -> Any:
        """Return what a step returned; raise `NotFound` unless it has completed."""
        known = self._run.steps.get(step)
        if known is None or known.status is not StepStatus.COMPLETED:
            where = "pending" if known is None else known.status
            raise NotFound(f"step {step!r} has no output: it is {where}", step=step)
        return canonical.decode(self._payload(known.facts.output))

    @property
    def attributes(self) -> dict[str, Attribute]:
        """The run's searchable attributes."""
        return dict(self._run.notes.attributes)

    @property
    def signals(self) -> list[tuple[str, Any]]:
        """Messages that no step has taken yet, the oldest first: name and value."""
        return [(signal.name, canonical.decode(signal.value)) for signal in self._run.notes.signals]

    @property
    def run(self) -> Run:
        """The folded history itself."""
        return self._run


Query: TypeAlias = Callable[[RunView], Any]
