"""From `module:qualname` to code.

Rule 1: a module is imported by its name where that leads to the file that was meant, else loaded from that file.
Rule 2: a script's `__main__` is loaded from its file under a private name, so that its main block does not run again.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from kronos.core.decorators import step
from kronos.core.definition import StepDefinition
from kronos.errors import NotFound, WorkflowDefinitionError

__all__ = ["file_of", "load_module", "load_object", "load_step", "refuse_while_loading"]

MAIN: Final = "__main__"
LOADED_MAIN: Final = "__kronos_main__"

_loading: list[str] = []


def file_of(definition: StepDefinition[Any, Any]) -> str | None:
    """Return the absolute path of the file that a step's module was loaded from; None where it was typed in."""
    path = definition.function.__globals__.get("__file__")
    return None if path is None else str(Path(path).resolve())


def load_step(target: str, file: str | None = None) -> StepDefinition[Any, Any]:
    """Return the step at `target`; raise `NotFound` where there is none."""
    found = load_object(target, file)
    if isinstance(found, StepDefinition):
        return found
    if inspect.isfunction(found):
        return step(found)  # `run = step(function)`: the name still stands for the bare function
    raise NotFound(f"{target} is {type(found).__name__}, not a step", target=target)


def load_object(target: str, file: str | None = None) -> Any:
    """Return what `module:qualname` names; raise `NotFound` saying which part is missing."""
    module_name, _, qualname = target.partition(":")
    if not module_name or not qualname:
        raise NotFound(f"{target!r} is no target: it reads module:name, as in my_strategies.sma:SmaCross")
    found: Any = load_module(module_name, file)
    for part in qualname.split("."):
        if not hasattr(found, part):
            raise NotFound(f"{target}: {getattr(found, '__file__', module_name)} has no {part!r}", target=target)
        found = getattr(found, part)
    return found


def load_module(name: str, file: str | None = None) -> ModuleType:
    """Return the module called `name`, from `file` where importing would find none or another."""
    if name == MAIN and file is not None:
        if _is_file(getattr(sys.modules[MAIN], "__file__", None), file):
            return sys.modules[MAIN]
        return sys.modules.get(LOADED_MAIN) or _load_file(LOADED_MAIN, file)
    loaded = sys.modules.get(name)
    if loaded is not None and (file is None or _is_file(getattr(loaded, "__file__", None), file)):
        return loaded
    if file is None or _is_file(_found_by_name(name), file):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
                raise NotFound(f"there is no module {error.name!r} here", target=name) from None
            raise
    return _load_file(name, file)


def _found_by_name(name: str) -> str | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return None if spec is None else spec.origin


def _is_file(path: str | None, file: str) -> bool:
    return path is not None and str(Path(path).resolve()) == file


def _load_file(name: str, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise NotFound(f"{file} is no Python file", file=file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _loading.append(file)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        _loading.pop()
    return module


def refuse_while_loading() -> None:
    """Refuse to start an engine while a child loads a script: it would start children of its own, without end."""
    if _loading:
        raise WorkflowDefinitionError(
            f"{_loading[-1]} starts an engine when it is loaded, and each process child loads it: put that below "
            f'`if __name__ == "__main__":`',
            file=_loading[-1],
        )
