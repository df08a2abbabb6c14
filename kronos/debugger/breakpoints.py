"""Stopping on the first line of somebody's function, under any debugger.

Rule 1: a debugger stops where `breakpoint()` stands, and our own frames are never where the user wants to be.  So the
        call is compiled into the user's function: after its docstring, on the line of its `def`, under its file's name.
Rule 2: the function keeps its identity.  Only its code is exchanged, so wrappers, closures and methods that hold it
        are stopped in as well; the module is compiled as a whole, so that cells and name mangling stay as they were.
Rule 3: it is found by where it stands in its file, never by its name: two functions may share a name.
"""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType
from typing import Any, Final, TypeAlias

from kronos.errors import InvalidInput, NotFound

__all__ = ["armed", "stopping_code", "user_function"]

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


@contextmanager
def armed(function: Callable[..., Any]) -> Iterator[FunctionType]:
    """Let `function` stop on its first line whenever it is called in here; yield what stands at its bottom.

    Raises `NotFound` where the source is not to be had or is no longer what was loaded, `InvalidInput` for a lambda.
    """
    bottom = user_function(function)
    original = bottom.__code__
    bottom.__code__ = stopping_code(bottom)
    try:
        yield bottom
    finally:
        bottom.__code__ = original


def user_function(function: Callable[..., Any]) -> FunctionType:
    """Return the function that the user wrote: below bound methods, decorators (`__wrapped__`) and partials."""
    found: Any = function
    while True:
        if inspect.ismethod(found):
            found = found.__func__
        elif hasattr(found, "__wrapped__"):
            found = found.__wrapped__
        elif isinstance(found, staticmethod | classmethod):
            found = found.__func__
        elif hasattr(found, "func") and not inspect.isfunction(found):
            found = found.func
        else:
            break
    if not inspect.isfunction(found):
        raise InvalidInput(f"{function!r} has no Python source to stop in", field="function")
    return found


def stopping_code(function: FunctionType) -> CodeType:
    """Return the code of `function` with `breakpoint()` before its first statement."""
    code = function.__code__
    if code.co_name == "<lambda>":
        raise InvalidInput(
            f"{_where(code)} is a lambda, which has no first line to stop on: make it a `def`", field="function"
        )
    source = "".join(linecache.getlines(code.co_filename, function.__globals__))
    if not source:
        raise NotFound(f"{_where(code)}: the source of {function.__qualname__} is not to be had", file=code.co_filename)
    module = ast.parse(source, code.co_filename)
    _insert_breakpoint(_definition_at(module, code))
    compiled = compile(ast.fix_missing_locations(module), code.co_filename, "exec", dont_inherit=True)
    return _same_place(compiled, code)


def _definition_at(module: ast.Module, code: CodeType) -> Definition:
    for node in ast.walk(module):
        if isinstance(node, _DEFINITIONS) and node.name == code.co_name and _first_line(node) == code.co_firstlineno:
            return node
    raise _moved(code)


def _first_line(node: Definition) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _insert_breakpoint(node: Definition) -> None:
    call = ast.parse("breakpoint()").body[0]
    for part in ast.walk(call):
        if isinstance(part, ast.stmt | ast.expr):
            part.lineno = part.end_lineno = node.lineno
            part.col_offset = part.end_col_offset = node.col_offset
    body = node.body
    has_docstring = ast.get_docstring(node, clean=False) is not None
    body.insert(1 if has_docstring else 0, call)


def _same_place(compiled: CodeType, wanted: CodeType) -> CodeType:
    """Return the code inside `compiled` that stands where `wanted` stood."""
    for code in _nested(compiled):
        if code.co_firstlineno == wanted.co_firstlineno and code.co_qualname == wanted.co_qualname:
            if code.co_freevars != wanted.co_freevars:
                break
            return code
    raise _moved(wanted)


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)


def _moved(code: CodeType) -> NotFound:
    return NotFound(
        f"{_where(code)}: {code.co_qualname} no longer stands there: the file was edited after it was loaded",
        file=code.co_filename,
        line=code.co_firstlineno,
    )


def _where(code: CodeType) -> str:
    return f"{code.co_filename}:{code.co_firstlineno}"
