"""What a step or workflow function takes and returns, as its annotations say.

Rule 1: a missing annotation means "any".
Rule 2: a parameter annotated with an `Injected` type is given by the engine and is no part of the input.
Rule 3: inputs are recorded under their parameter's name, so `*args` and `**kwargs` are refused.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import msgspec

from kronos.errors import WorkflowDefinitionError

__all__ = ["EMPTY", "Injected", "Parameter", "Signature", "read_signature"]

EMPTY: Final = inspect.Parameter.empty


class Injected:
    """The root of types that a step asks for and the engine provides, one of each `role`."""

    __slots__ = ()
    role: ClassVar[str] = "context"


class Parameter(msgspec.Struct, frozen=True):
    """One recorded parameter; `default` is `EMPTY` where there is none."""

    name: str
    type: Any
    default: Any
    positional: bool


class Signature(msgspec.Struct, frozen=True):
    """The recorded parameters, the names of the injected ones, and the type of the result."""

    parameters: tuple[Parameter, ...]
    injected: str | None
    transaction: str | None
    returns: Any
    python: inspect.Signature

    @property
    def given(self) -> tuple[str, ...]:
        """The parameters that the engine provides."""
        return tuple(name for name in (self.injected, self.transaction) if name is not None)


def read_signature(function: Callable[..., Any], local_names: Mapping[str, Any]) -> Signature:
    """Return the signature of `function`, string annotations resolved in its module and in `local_names`."""
    python = inspect.signature(function)
    scope = _scope(function, local_names)
    parameters: list[Parameter] = []
    injected: dict[str, str] = {}
    for parameter in python.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise WorkflowDefinitionError(
                f"{_where(function)}: parameter {parameter} has no name of its own to record it under: name each input",
                field=parameter.name,
            )
        kind = _resolve(parameter.annotation, scope, function, parameter.name)
        if isinstance(kind, type) and issubclass(kind, Injected):
            if kind.role in injected:
                raise WorkflowDefinitionError(f"{_where(function)}: two parameters ask for a {kind.role}: keep one")
            injected[kind.role] = parameter.name
        else:
            positional = parameter.kind is not parameter.KEYWORD_ONLY
            parameters.append(Parameter(parameter.name, kind, parameter.default, positional))
    return Signature(
        parameters=tuple(parameters),
        injected=injected.get("context"),
        transaction=injected.get("transaction"),
        returns=_resolve(python.return_annotation, scope, function, "return"),
        python=python,
    )


def _scope(function: Callable[..., Any], local_names: Mapping[str, Any]) -> dict[str, Any]:
    code = function.__code__
    cells = getattr(function, "__closure__", None) or ()
    closed = {name: cell.cell_contents for name, cell in zip(code.co_freevars, cells, strict=True) if _filled(cell)}
    return {**function.__globals__, **local_names, **closed}


def _filled(cell: Any) -> bool:
    try:
        return bool(cell.cell_contents is not None)
    except ValueError:
        return False


def _resolve(annotation: Any, scope: dict[str, Any], function: Callable[..., Any], field: str) -> Any:
    if annotation is EMPTY:
        return Any
    holder = type("_Holder", (), {"__annotations__": {field: annotation}})
    try:
        return typing.get_type_hints(holder, globalns=scope, localns=scope, include_extras=True)[field]
    except NameError as error:
        raise WorkflowDefinitionError(
            f"{_where(function)}: the annotation {annotation!r} of {field} names {error.name!r}, which is not defined "
            f"where the function is declared: import it above, outside of TYPE_CHECKING",
            field=field,
        ) from None
    except (TypeError, SyntaxError) as error:
        raise WorkflowDefinitionError(
            f"{_where(function)}: the annotation {annotation!r} of {field} is no type: {error}", field=field
        ) from None


def _where(function: Callable[..., Any]) -> str:
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno} ({function.__qualname__})"
