"""How a strategy class declares a feature: the function, what its arguments are, and how it may be computed.

Rule 1: a feature is a pure function of the rows so far and of parameters: `f(bars, …) -> one value a row`.
Rule 2: nothing is computed here; a declaration is the same for every stream and every strategy of its class.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, overload

from kronos.errors import InvalidInput

__all__ = ["Feature", "declared", "feature"]

Function: TypeAlias = Callable[..., Any]


class Feature:
    """A declaration: the function, what its arguments are, and how it may be computed."""

    def __init__(self, function: Function, *, window: int | None, arguments: Mapping[str, Any]) -> None:
        self.function, self.window, self.arguments = function, window, dict(arguments)
        self.name = getattr(function, "__name__", "feature")

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name of the attribute."""
        self.name = name

    def bound(self, params: Any) -> dict[str, Any]:
        """Return the function's arguments beside the rows: given ones, then parameters of that name, then defaults."""
        found: dict[str, Any] = {}
        for each in list(inspect.signature(self.function).parameters.values())[1:]:
            given = self.arguments.get(each.name, each.name)
            if isinstance(given, str) and hasattr(params, given):
                found[each.name] = getattr(params, given)
            elif each.name in self.arguments and not isinstance(given, str):
                found[each.name] = given
            elif each.default is inspect.Parameter.empty or each.name in self.arguments:
                raise InvalidInput(
                    f"feature {self.name}: {each.name} is no parameter of {type(params).__qualname__}; name a "
                    f"parameter, give a number, or give {self.function.__name__} a default",
                    field=f"features.{self.name}",
                    value=each.name,
                )
        return found

    @property
    def code(self) -> str:
        """Return the name of the function for people and for keys."""
        return f"{self.function.__module__}:{self.function.__qualname__}"


@overload
def feature(function: Function, /, *, window: int | None = ..., **arguments: Any) -> Feature: ...
@overload
def feature(*, window: int | None = ..., **arguments: Any) -> Callable[[Function], Feature]: ...
def feature(
    function: Function | None = None, /, *, window: int | None = None, **arguments: Any
) -> Feature | Callable[[Function], Feature]:
    """Declare a feature of a strategy class: as a decorator, or of a function that exists.

    fast = feature(mean, period="fast")      # the parameter `fast` of the strategy
    slow = feature(mean, period=200)

    @feature(window=50)                      # row by row, over the latest 50 rows
    def slope(bars, period): ...             # the parameter `period`

    """
    if window is not None and (type(window) is not int or window < 1):
        raise InvalidInput(f"window {window!r} is not a whole number of rows", field="window", value=str(window))

    def declare(function: Function) -> Feature:
        return Feature(function, window=window, arguments=arguments)

    return declare if function is None else declare(function)


def declared(strategy: type) -> dict[str, Feature]:
    """Return the features of a strategy class by name, those of its parents first."""
    found: dict[str, Feature] = {}
    for kind in reversed(strategy.__mro__):
        found |= {name: value for name, value in vars(kind).items() if isinstance(value, Feature)}
    return found
