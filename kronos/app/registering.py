"""Which workflows and steps this process serves, and what a workflow's name means here.

Rule: whoever asks for a run gets its definition and checked input from `_checked`, whether the code is here or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from kronos.app.arguments import fitting_input
from kronos.app.upkeep import Upkeep
from kronos.core.definition import StepDefinition, WorkflowDefinition
from kronos.engine.listing import listed
from kronos.engine.registration import define, served_in
from kronos.engine.serving import Serving
from kronos.errors import InvalidInput, NotFound
from kronos.kernel.schema import check_against
from kronos.kernel.texts import check_text
from kronos.ports.history import Definition
from kronos.storage.history import PostgresHistory
from kronos.storage.jobbook import JobBook
from kronos.storage.submission import Submission

__all__ = ["Registering", "Step", "Workflow"]

Workflow = WorkflowDefinition[Any, Any]
Step = StepDefinition[Any, Any]


class Registering:
    """The part of `Kronos` that knows the code, and what is on record of code that is elsewhere."""

    definitions: Serving
    history: PostgresHistory
    upkeep: Upkeep
    _book: JobBook
    _submission: Submission

    def serve(self, *served: Workflow | Step | str) -> None:
        """Register workflows, steps, or all of the modules named, for runs and jobs to be started and executed here."""
        for each in served:
            for found in served_in(each) if isinstance(each, str) else [each]:
                if isinstance(found, StepDefinition):
                    self._serve_steps([found])
                elif not isinstance(found, WorkflowDefinition):
                    raise InvalidInput(
                        f"workflows: {found!r} is no workflow and no step: give what @workflow or @step made",
                        field="workflows",
                        value=repr(found),
                    )
                elif self.definitions.holds(found) is None:
                    self.serve(*found.children.values())
                    definition, sources = define(found)
                    self.upkeep.retention.check(definition.graph.retention)
                    self._submission.register(definition, sources)
                    self._serve_steps(found.steps.values())
                    self.definitions.add(found, definition)

    def _serve_steps(self, steps: Iterable[Step]) -> None:
        schemas = {step.target: listed(step) for step in self.definitions.add_steps(steps)}
        if schemas:
            self._book.register(schemas)

    def registered(self, name: str, version: str | None) -> Definition:
        """Return the newest definition of a workflow, or of one version; raise `NotFound` naming what is known."""
        found = self.history.definitions(name)
        if not found:
            known = sorted({each.workflow for each in self.history.definitions()})
            raise NotFound(
                f"workflow {name!r} is not registered; known: {', '.join(known) or 'none'}. "
                "A worker registers the workflows of its modules when it starts",
                field="workflow_name",
                value=name,
            )
        for each in found:
            if version in (None, each.version):
                return each.sound
        versions = ", ".join(dict.fromkeys(each.version for each in found))
        raise NotFound(
            f"workflow {name!r} has no version {version!r}; known: {versions}", field="version", value=version
        )

    def _checked(self, workflow: Workflow | str, data: bytes, version: str | None) -> tuple[Definition, bytes]:
        definition, check = self._meant(workflow, version)
        return definition, check(data)

    def _meant(self, workflow: Workflow | str, version: str | None) -> tuple[Definition, Callable[[bytes], bytes]]:
        """Return the definition that runs would refer to, and what checks their input."""
        if isinstance(workflow, WorkflowDefinition):
            self.serve(workflow)
        elif not isinstance(workflow, str):
            raise InvalidInput(
                f"workflow is a {type(workflow).__name__}: give a workflow or the name of one",
                field="workflow_name",
                value=repr(workflow),
            )
        name = check_text(workflow, "workflow_name") if isinstance(workflow, str) else workflow.name
        version = None if version is None else check_text(version, "version")
        served = self.definitions.named(name) if isinstance(workflow, str) else self.definitions.holds(workflow)
        if served is not None and version in (None, served.definition.version):
            definition, check = served.definition, served.workflow.check_input
        else:
            definition = self.registered(name, version)
            check = partial(check_against, definition.input_schema)
        return definition, partial(fitting_input, name, definition.input_schema, check)
