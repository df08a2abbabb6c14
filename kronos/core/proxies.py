"""Stand-ins for values that only a run will know.

Rule: a stand-in can be passed on, and its fields and items can be named.  Whatever would need its value (a branch, a
      loop, arithmetic, text, a hash, an isinstance) is refused with the line: one branch would be taken for ever.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, Never, NoReturn

import msgspec

from kronos.core.binding import Reference
from kronos.core.fields import PathElement, attribute, item
from kronos.errors import WorkflowDefinitionError

__all__ = ["Proxy", "Reading", "is_proxy", "read", "refuse", "stand_in", "user_line"]


def user_line() -> str:
    """Return file:line of the innermost frame that is not ours."""
    frame = inspect.currentframe()
    assert frame is not None
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("kronos.core."):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def refuse(message: str, **facts: object) -> NoReturn:
    """Raise `WorkflowDefinitionError` with the user's line before `message`."""
    line = user_line()
    raise WorkflowDefinitionError(f"{line}: {message}", line=line, **facts)


def _forbid(operation: str) -> Any:
    def refused(self: Proxy, *_: object, **__: object) -> Never:
        refuse(
            f"{operation} needs the value of {read(self).describe()}, which is known only when the workflow runs: "
            f"decide inside a step (a @step function receives the real value)",
            operation=operation,
        )

    return refused


class Proxy:
    """The stand-in for the run's input, for a step's result, or for a part of one."""

    __slots__ = ("__kronos__",)
    # `isinstance` and `match` ask for the class of what they do not know; answering would take one branch silently.
    __class__ = property(_forbid("isinstance() or `match`"))

    def __getattr__(self, name: str) -> Proxy:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return _descend(self, attribute, name)

    def __getitem__(self, key: object) -> Proxy:
        return _descend(self, item, key)

    def __repr__(self) -> str:
        return f"<{read(self).describe()}, known when it runs>"


class Reading(msgspec.Struct, frozen=True):
    """What a proxy stands for; kept apart, so that every attribute name is the user's."""

    tracer: Any
    reference: Reference
    type: Any
    spelled: str

    def describe(self) -> str:
        return self.spelled


def read(proxy: Proxy) -> Reading:
    """Return what `proxy` stands for."""
    reading: Reading = _SLOT.__get__(proxy)
    return reading


def is_proxy(value: object) -> bool:
    """Tell without touching the value (`isinstance` on a proxy is refused)."""
    return type(value) is Proxy


_SLOT: Final = Proxy.__dict__["__kronos__"]


def stand_in(tracer: object, reference: Reference, kind: Any, spelled: str) -> Proxy:
    """Return a proxy for `reference`, whose values are of type `kind`."""
    proxy = Proxy()
    _SLOT.__set__(proxy, Reading(tracer, reference, kind, spelled))
    return proxy


def _descend(proxy: Proxy, into: Callable[[Any, Any], tuple[Any, PathElement]], key: Any) -> Proxy:
    reading = read(proxy)
    try:
        kind, element = into(reading.type, key)
    except WorkflowDefinitionError as error:
        refuse(f"{reading.describe()}: {error.message}", **error.facts)
    reference = Reference(reading.reference.step, (*reading.reference.path, element))
    spelled = f"{reading.spelled}.{key}" if into is attribute else f"{reading.spelled}[{key!r}]"
    return stand_in(reading.tracer, reference, kind, spelled)


_FORBIDDEN: Final[Mapping[str, tuple[str, ...]]] = {
    "a condition (`if`, `while`, `and`, `or`, `not`)": ("bool",),
    "iteration": ("iter", "next", "aiter", "anext", "reversed"),
    "len()": ("len", "length_hint"),
    "`in`": ("contains",),
    "a comparison": ("eq", "ne", "lt", "le", "gt", "ge"),
    "a hash (a dict key, a set member)": ("hash",),
    "text (str(), an f-string)": ("str", "format", "bytes"),
    "a number": ("int", "float", "complex", "index", "round", "trunc", "floor", "ceil"),
    "a call": ("call",),
    "`await`": ("await",),
    "`with`": ("enter", "exit", "aenter", "aexit"),
    "assignment": ("setattr", "delattr", "setitem", "delitem"),
    "a copy": ("copy", "deepcopy", "reduce", "reduce_ex"),
    "arithmetic": (
        *(
            f"{side}{name}"
            for name in ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow")
            for side in ("", "r", "i")
        ),
        *(f"{side}{name}" for name in ("lshift", "rshift", "and", "xor", "or") for side in ("", "r", "i")),
        *("neg", "pos", "abs", "invert"),
    ),
}
for _operation, _names in _FORBIDDEN.items():
    for _name in _names:
        setattr(Proxy, f"__{_name}__", _forbid(_operation))
