"""How a strategy comes to be: from its class and parameters, from an instance, or blank, to be given a memory.

Rule 1: what is executed once can be executed again: nothing of a strategy stands outside its class, parameters and
        attributes, and what a constructor was given is never replaced in silence.
Rule 2: an instance that somebody holds is never executed itself: it stays what it was.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any

from kronos.errors import InvalidInput
from kronos.trading.strategy import NoParams, Strategy

__all__ = ["blank_strategy", "copied_strategy", "new_strategy"]


def new_strategy(kind: type[Strategy], params: Any = None) -> Strategy:
    """Return a strategy of `kind` and `params` (None: its defaults).

    A constructor that takes no `params` keeps its own defaults; where it has none, or parameters were given that it
    could not take, or it leaves `params` unset, this raises `InvalidInput`.
    """
    taken = list(inspect.signature(kind).parameters.values())
    needed = [each.name for each in taken if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD]
    if taken and (taken[0].name == "params" or taken[0].kind is inspect.Parameter.VAR_POSITIONAL):
        made = kind(params)
    elif not needed and _is_default(kind, params):
        made = kind()
    else:
        raise InvalidInput(
            f"{kind.__name__}.__init__ takes ({', '.join(each.name for each in taken)}), and a strategy is made of its "
            "parameters alone: move what it needs into Params and take `params`",
            field="strategy",
            value=kind.__qualname__,
        )
    return _with_params(made)


def _is_default(kind: type[Strategy], params: Any) -> bool:
    """Return whether `params` say nothing that the constructor would have to know."""
    return not params or params == NoParams() or (isinstance(params, kind.Params) and params == kind.Params())


def _with_params(strategy: Strategy) -> Strategy:
    if not hasattr(strategy, "params"):
        name = type(strategy).__name__
        raise InvalidInput(
            f"{name}.__init__ left params unset: it must call super().__init__(params)", field="strategy", value=name
        )
    return strategy


def copied_strategy(strategy: Strategy) -> Strategy:
    """Return another strategy that is what this one is now, attributes and all, so that it can be executed again.

    Raises `InvalidInput` for one that cannot be copied, and for a handler that is an attribute of the instance: what is
    heard is a matter of the class.
    """
    name = type(_with_params(strategy)).__name__
    for handler in sorted(vars(strategy) if hasattr(strategy, "__dict__") else ()):
        if handler.startswith("on_") and hasattr(Strategy, handler):
            raise InvalidInput(
                f"{name}.{handler} was set on the instance, where it is not heard: write it in the class",
                field="strategy",
                value=f"{name}.{handler}",
            )
    try:
        return copy.deepcopy(strategy)
    except Exception as error:
        raise InvalidInput(
            f"this {name} cannot be copied ({type(error).__name__}: {error}), so it could not be executed again: give "
            "the class, and make in on_start what cannot be copied",
            field="strategy",
            value=name,
        ) from error


def blank_strategy(strategy: Strategy) -> Strategy:
    """Return another strategy of the same class, parameters, id and subscriptions that remembers nothing."""
    twin = object.__new__(type(strategy))
    twin.params = strategy.params
    for name in ("strategy_id", "subscribes"):
        if getattr(strategy, name) is not getattr(twin, name):
            setattr(twin, name, getattr(strategy, name))
    return twin
