"""The workflows that this process can execute, under the ids by which runs refer to them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from kronos.core.definition import StepDefinition, WorkflowDefinition
from kronos.core.graph import Graph
from kronos.errors import Conflict
from kronos.kernel.ids import DefinitionId
from kronos.ports.history import Definition

__all__ = ["Served", "Serving"]


class Served(NamedTuple):
    """One workflow: its code, and what was registered of it."""

    workflow: WorkflowDefinition[Any, Any]
    definition: Definition

    @property
    def graph(self) -> Graph:
        """The DAG as registered."""
        return self.definition.graph


class Serving:
    """Grows while a worker runs; never shrinks."""

    def __init__(self) -> None:
        self._by_id: dict[DefinitionId, Served] = {}
        self._newest: dict[str, Served] = {}
        self._lock = threading.Lock()
        self._changed: list[Callable[[], None]] = []
        self.targets: dict[str, StepDefinition[Any, Any]] = {}
        """Every step's code by its target; slots read it at each attempt."""

    def add(self, workflow: WorkflowDefinition[Any, Any], definition: Definition) -> None:
        """Serve `workflow`; raise `Conflict` when another function already is the code of one of its targets."""
        with self._lock:
            for step in workflow.steps.values():
                self._is_new(step)
            self.targets.update({step.target: step for step in workflow.steps.values()})
            self._by_id[definition.id] = self._newest[workflow.name] = Served(workflow, definition)
        for tell in self._changed:
            tell()

    def add_steps(self, steps: Iterable[StepDefinition[Any, Any]]) -> list[StepDefinition[Any, Any]]:
        """Serve steps by their own, as jobs; return those that are new."""
        with self._lock:
            new = [step for step in steps if self._is_new(step)]
            self.targets.update({step.target: step for step in new})
        for tell in self._changed if new else ():
            tell()
        return new

    def _is_new(self, step: StepDefinition[Any, Any]) -> bool:
        known = self.targets.get(step.target)
        if known is not None and known.function is not step.function:
            raise Conflict(
                f"two functions are called {step.target}: rename one, a step travels by its name",
                target=step.target,
            )
        return known is None

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call `tell` whenever a workflow is added."""
        self._changed.append(tell)

    def get(self, definition: DefinitionId) -> Served:
        """Return what is served under an id; a `KeyError` is a fault of ours: claims ask for served ids only."""
        return self._by_id[definition]

    def find(self, definition: DefinitionId) -> Served | None:
        """Return what is served under an id, None when it is not."""
        return self._by_id.get(definition)

    def named(self, workflow: str) -> Served | None:
        """Return the newest definition of that name, None when there is none here."""
        return self._newest.get(workflow)

    def holds(self, workflow: WorkflowDefinition[Any, Any]) -> Served | None:
        """Return what is served for this very object."""
        return next((each for each in self._by_id.values() if each.workflow is workflow), None)

    @property
    def ids(self) -> list[DefinitionId]:
        """What claims may ask for."""
        return list(self._by_id)

    def names(self) -> Iterable[str]:
        """Return the names of the served workflows."""
        return self._newest.keys()
