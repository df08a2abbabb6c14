"""The checked-out code of a recorded run: its steps, and its workflow where it can be found."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kronos.core.definition import StepDefinition, WorkflowDefinition
from kronos.engine.code import CodeReader
from kronos.engine.targets import load_module, load_step
from kronos.errors import NotFound
from kronos.ports.history import Definition

__all__ = ["CheckedOutCode"]

Step = StepDefinition[Any, Any]


class CheckedOutCode:
    """Finds code by the names in a definition: by import, else at its path below `root`.

    `known` holds steps that no import can reach (those of a notebook, or local to a function), by target.
    """

    def __init__(self, definition: Definition, root: Path, known: Mapping[str, Step] | None = None) -> None:
        self._definition = definition
        self._root = root
        self._known = known or {}
        self._reader = CodeReader()

    def step(self, target: str) -> Step:
        """Return the step at `target`; raise `NotFound`, or whatever importing its module raises."""
        if target in self._known:
            return self._known[target]
        module = target.partition(":")[0]
        file = self._file(module)
        try:
            return load_step(target, file if module == "__main__" else None)
        except NotFound:
            if file is None or module in sys.modules:
                raise
            return load_step(target, file)

    def workflow(self) -> WorkflowDefinition[Any, Any] | None:
        """Return the workflow of the same name, None where the checked-out code has none that can be found."""
        for module in self._modules():
            for found in vars(module).values():
                if isinstance(found, WorkflowDefinition) and found.name == self._definition.workflow:
                    return found
        return None

    def has_changed(self, step: str, definition: Step, recorded: str | None) -> bool:
        """Whether the code of a step is not what the run was made with."""
        return self._reader.identity(definition).hash != (recorded or self._definition.codes.get(step))

    def _file(self, module: str) -> str | None:
        for path, (name, _) in self._definition.sources.items():
            if name == module and (self._root / path).is_file():
                return str((self._root / path).resolve())
        return None

    def _modules(self) -> Iterator[Any]:
        names = [name for name, _ in self._definition.sources.values() if name]
        yield from (sys.modules[name] for name in names if name in sys.modules)
        for name in names:
            if name not in sys.modules:
                try:
                    yield load_module(name, self._file(name))
                except Exception:  # noqa: S112 - a module that is no longer there, or that fails, holds no workflow
                    continue
