"""What may be decorated, and where it stands.

Rule: what cannot be recorded, imported or read is refused where it is declared, with the reason.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from kronos.core.options import StepOptions
from kronos.core.proxies import refuse
from kronos.core.recordable import unrecordable
from kronos.core.signature import Signature

__all__ = [
    "AnyFunction",
    "check_executor",
    "check_function",
    "check_transaction",
    "check_types",
    "line_of",
    "local_names",
    "raised_at",
    "target_of",
]

AnyFunction: TypeAlias = Callable[..., Any]


def target_of(function: AnyFunction) -> str:
    """Return `module:qualname`; a module run with `python -m` goes by its real name."""
    module = function.__module__
    if module == "__main__":
        spec = function.__globals__.get("__spec__")
        module = spec.name if spec is not None else module
    return f"{module}:{function.__qualname__}"


def check_function(function: object, kind: str) -> None:
    if not inspect.isfunction(function):
        refuse(f"@{kind} takes a plain function, got {function!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        refuse(f"@{kind}: {function.__qualname__} is a generator, which has no one result: return a list")
    if kind == "workflow" and inspect.iscoroutinefunction(function):
        refuse("a workflow is a plain function (only its steps may be async)")


def check_executor(function: AnyFunction, options: StepOptions) -> None:
    is_coroutine = inspect.iscoroutinefunction(function)
    if options.executor == "async" and not is_coroutine:
        refuse(f'executor="async": {function.__qualname__} is no `async def` function', field="executor")
    if options.executor == "thread" and is_coroutine:
        refuse(f'executor="thread": {function.__qualname__} is an `async def` function: leave executor out')
    if options.executor != "process":
        return
    if "<" in function.__qualname__:
        refuse(
            f'executor="process": {function.__qualname__} is local to a function, and a child process can import only '
            f"what stands at the top of a module: move it there",
            field="executor",
        )
    if function.__globals__.get("__file__") is None:
        refuse(
            f'executor="process": {function.__qualname__} was typed into a notebook or prompt, and a child process has '
            f"no file to load it from: move it to a module, or leave executor out",
            field="executor",
        )


def check_transaction(function: AnyFunction, options: StepOptions, signature: Signature) -> None:
    """Refuse a database step without a transaction, and a transaction in any other step."""
    if options.effect == "tx" and signature.transaction is None:
        refuse(
            f'effect="tx": {function.__qualname__} takes no transaction: annotate a parameter, as in tx: Transaction',
            field="effect",
        )
    if options.effect != "tx" and signature.transaction is not None:
        refuse(
            f"{function.__qualname__} takes a transaction ({signature.transaction}), which only a database step is "
            f'given: declare it with effect="tx"',
            field=signature.transaction,
        )


def local_names(function: AnyFunction) -> Mapping[str, Any]:
    """Return the names that string annotations of a nested function may mean: those of the functions around it."""
    if "<locals>" not in function.__qualname__:
        return {}
    frame, names = inspect.currentframe(), dict[str, Any]()
    while frame is not None:
        if not frame.f_globals.get("__name__", "").startswith("kronos.core."):
            names = {**frame.f_locals, **names}
            if frame.f_code.co_name == "<module>" or frame.f_globals is not function.__globals__:
                break
        frame = frame.f_back
    return names


def check_types(function: AnyFunction, signature: Signature) -> None:
    """Refuse parameters and results that JSON cannot carry."""
    places = [(p.type, p.name) for p in signature.parameters] + [(signature.returns, "return")]
    for annotation, place in places:
        if why := unrecordable(annotation, place):
            refuse(f"{function.__qualname__}: {why}", field=place)


def line_of(function: AnyFunction) -> str:
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"


def raised_at(error: BaseException, function: AnyFunction) -> str:
    line, trace = line_of(function), error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is function.__code__:
            line = f"{function.__code__.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return line
