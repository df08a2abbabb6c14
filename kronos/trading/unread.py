"""Events that nobody looks at are not made: half of the time of an idle bar went into them.

Rule: only code that provably never names its last argument goes without it; whatever could (`locals()`, a frame, a
      closure, a decorator) is handed the event.
"""

from __future__ import annotations

import dis
import inspect
from functools import cache
from typing import Any, Final

__all__ = ["UNREAD", "reads"]

_SEES_ALL: Final = frozenset({"dir", "eval", "exec", "locals", "vars", "_getframe", "currentframe", "stack", "trace"})
"""Names by which code may come at all of its variables."""

_ARGUMENTS: Final = 3
"""self, context, event."""


class _Unread:
    """Stands where an event would, which the handler's code never names."""

    def __repr__(self) -> str:
        return "<event not made: the handler never names it>"


UNREAD: Final = _Unread()


@cache
def reads(handler: Any) -> bool:
    """Return whether `handler(self, context, event)` may look at its event."""
    if not inspect.isfunction(handler) or hasattr(handler, "__wrapped__"):
        return True
    code = handler.__code__
    is_plain = not code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    if not is_plain or code.co_argcount != _ARGUMENTS or code.co_kwonlyargcount or _SEES_ALL & {*code.co_names}:
        return True
    event = code.co_varnames[_ARGUMENTS - 1]
    return event in code.co_cellvars or any(_names(each.argval, event) for each in dis.get_instructions(code))


def _names(argument: Any, event: str) -> bool:
    """Return whether an instruction is about `event`; some are about two variables at once."""
    return argument == event or (isinstance(argument, tuple) and event in argument)
