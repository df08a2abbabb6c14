"""Strategies by name: `module:Class`, with parameters given as text.

Rule: importing is I/O and runs a user's code, so it happens here, not in the pure core; a failure is one sentence.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from kronos.errors import InvalidInput
from kronos.trading.making import new_strategy
from kronos.trading.strategy import Strategy, check_handlers, params_from_text

__all__ = ["find_strategy", "load_strategy"]


def find_strategy(spec: str) -> type[Strategy]:
    """Return the class that `module:Class` names; raise `InvalidInput` saying which half is wrong."""
    module_name, separator, class_name = spec.partition(":")
    if not separator or not module_name or not class_name:
        raise InvalidInput(f"strategy {spec!r} is not module:Class", field="strategy", value=spec)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = f"; it needs {error.name}" if error.name and not module_name.startswith(error.name) else ""
        raise InvalidInput(
            f"strategy {spec!r}: there is no module {module_name!r} on the path{missing}", field="strategy", value=spec
        ) from error
    except Exception as error:
        raise InvalidInput(
            f"strategy {spec!r}: module {module_name!r} fails to import: {type(error).__name__}: {error}",
            field="strategy",
            value=spec,
        ) from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type) or not issubclass(found, Strategy) or found is Strategy:
        known = sorted(
            name
            for name, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, Strategy) and value is not Strategy
        )
        raise InvalidInput(
            f"strategy {spec!r}: {class_name!r} is no Strategy of {module_name}; it has: {', '.join(known) or 'none'}",
            field="strategy",
            value=spec,
        )
    return found


def load_strategy(spec: str, settings: Mapping[str, str] | None = None, params: Any = None) -> Strategy:
    """Return an instance of `module:Class` with `settings` (`name=value` texts) or `params` (typed).

    Raises `InvalidInput` naming the parameter that is unknown or cannot be converted, and those that there are, and for
    handlers that there are not or that would never run.
    """
    kind = find_strategy(spec)
    if params is None:
        params = params_from_text(kind, dict(settings or {}))
    strategy = new_strategy(kind, params)
    check_handlers(strategy)
    return strategy
