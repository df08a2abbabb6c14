"""Which code a strategy is: a hash of what its functions do, so that a cached memory never meets other code.

Rule 1: comments, blank lines and file names change nothing; a changed constant, name or instruction does.
Rule 2: it covers the functions of the class and of its parents below `Strategy`, not what they call elsewhere: what a
        run's other modules were is known by its definition.
"""

from __future__ import annotations

from types import CodeType, FunctionType
from typing import Any

from kronos.kernel.hashing import content_hash
from kronos.trading.strategy import Strategy

__all__ = ["code_print"]


def code_print(kind: type[Strategy]) -> str:
    """Return the hash of the code of `kind`, equal in every process of one Python version."""
    parts = []
    for parent in kind.__mro__[: kind.__mro__.index(Strategy)]:
        for name in sorted(vars(parent)):
            parts += [f"{name}={_told(code)}" for code in _codes(vars(parent)[name])]
    return content_hash("\n".join(parts).encode())


def _codes(value: Any) -> list[CodeType]:
    if isinstance(value, property):
        return [code for part in (value.fget, value.fset, value.fdel) for code in _codes(part)]
    inner = getattr(value, "__func__", getattr(value, "__wrapped__", value))
    return [inner.__code__] if isinstance(inner, FunctionType) else []


def _told(code: CodeType) -> str:
    constants = ",".join(_constant(each) for each in code.co_consts)
    return f"{code.co_code.hex()}({','.join(code.co_names)})({','.join(code.co_varnames)})[{constants}]"


def _constant(value: Any) -> str:
    if isinstance(value, CodeType):
        return _told(value)
    if isinstance(value, frozenset):
        return "{" + ",".join(sorted(map(_constant, value))) + "}"
    if isinstance(value, tuple):
        return "(" + ",".join(map(_constant, value)) + ")"
    return repr(value)
