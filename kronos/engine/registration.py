"""From code to a definition on record: what a workflow is, and the source it was made of."""

from __future__ import annotations

import platform
import traceback
from typing import Any

import msgspec

from kronos.core.definition import StepDefinition, WorkflowDefinition
from kronos.engine.code import CodeReader
from kronos.engine.targets import load_module
from kronos.errors import InvalidInput, KronosError, NotFound
from kronos.kernel.hashing import content_hash
from kronos.ports.history import Definition

__all__ = ["define", "served_in"]

Workflow = WorkflowDefinition[Any, Any]

_encode = msgspec.json.Encoder(order="sorted").encode


def define(workflow: Workflow) -> tuple[Definition, dict[str, bytes]]:
    """Return the definition of `workflow` as it stands, and its captured source files by blob hash."""
    code = CodeReader()
    captured = code.capture(workflow)
    definition = Definition(
        id=code.definition_id(workflow),
        workflow=workflow.name,
        version=workflow.version,
        graph=workflow.graph,
        input_schema=_encode(workflow.graph.input_schema),
        codes=code.codes(workflow),
        sources={source.path: (source.module, content_hash(source.data)) for source in captured},
        environment={"python": platform.python_version(), "machine": platform.machine()},
    )
    return definition, {content_hash(source.data): source.data for source in captured}


def served_in(module: str) -> list[Workflow | StepDefinition[Any, Any]]:
    """Import `module` and return the workflows and steps it defines; raise `NotFound` when there are none."""
    try:
        loaded = load_module(module)
    except KronosError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        at = f"{error.filename}:{error.lineno}" if isinstance(error, SyntaxError) else ""
        where = at or (f"{frames[-1].filename}:{frames[-1].lineno}" if frames else module)
        raise InvalidInput(
            f"module {module} cannot be imported: {where}: {type(error).__name__}: {error}",
            field="workflows",
            value=module,
        ) from error
    found = [each for each in vars(loaded).values() if isinstance(each, WorkflowDefinition | StepDefinition)]
    own = [each for each in found if each.__module__ == loaded.__name__] or found
    if not own:
        raise NotFound(
            f"module {module} defines no workflow and no step: decorate one with @workflow or @step", module=module
        )
    return own
