"""The one place that calls a step's code: slots, process children and replay all come here.

Rule 1: nothing that user code raises or returns leaves as an exception; it becomes an `Outcome`.
Rule 2: what goes in and what comes out has the declared types, or the attempt fails with the path of the field.
Rule 3: a failure carries frames and source lines of user code, never the values of variables (they hold secrets).
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from kronos.core.definition import StepDefinition
from kronos.core.events import Effect, Failure
from kronos.core.options import StepOptions, may_retry
from kronos.core.signature import EMPTY
from kronos.engine.context import Services, StepContext
from kronos.engine.outcomes import outcome_body, outcome_id
from kronos.engine.tasks import Outcome, Task
from kronos.engine.transactions import Conflicts, Transaction
from kronos.errors import (
    Cancelled,
    EffectBlocked,
    InvalidInput,
    KronosError,
    PermissionDenied,
    StepTimeout,
    Unavailable,
)
from kronos.kernel import canonical

__all__ = [
    "CANCELLED",
    "MESSAGE_MAX",
    "TRACEBACK_MAX",
    "execute",
    "execute_async",
    "failure_of",
    "timed_out",
    "unknown_target",
]

MESSAGE_MAX: Final = 4_096
TRACEBACK_MAX: Final = 32_768
CANCELLED: Final = Failure(type="Cancelled", message="cancelled by request", retryable=False, cause="cancelled")
_FINAL: Final = (InvalidInput, EffectBlocked, PermissionDenied, Cancelled)
_OURS: Final = str(Path(__file__).parent)


class Invocation:
    """One step's plan of a call: decode, call, check, encode; compiled once."""

    __slots__ = (
        "_as_arguments",
        "_check",
        "_decode",
        "_input",
        "_names",
        "function",
        "injected",
        "is_coroutine",
        "name",
        "transaction",
    )

    def __init__(self, definition: StepDefinition[Any, Any]) -> None:
        signature = definition.signature
        self.name: Final = definition.name
        self.function: Final = definition.function
        self.injected: Final = signature.injected
        self.transaction: Final = signature.transaction
        self.is_coroutine: Final = definition.is_coroutine
        fields = [
            (p.name, p.type) if p.default is EMPTY else (p.name, p.type, _default(p.default))
            for p in signature.parameters
        ]
        self._input: Final = msgspec.defstruct(f"{definition.name}_input", fields, kw_only=True)
        self._names: Final = self._input.__struct_fields__
        self._decode: Final = msgspec.json.Decoder(self._input).decode
        by_place = not signature.given and all(p.positional for p in signature.parameters)
        self._as_arguments: Final = msgspec.structs.astuple if by_place else None
        self._check: Final = _checker(signature.returns)

    def arguments(self, data: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the typed arguments of canonical bytes; raise `InvalidInput` naming the path."""
        try:
            record = canonical.decode(data, self._input) if b'"$' in data else self._decode(data)
        except msgspec.MsgspecError:
            record = canonical.decode(data, self._input)  # the same refusal, in our words
        if self._as_arguments is not None:
            return self._as_arguments(record), {}
        return (), msgspec.structs.asdict(record)

    def checked(self, data: bytes) -> bytes:
        """Return the canonical bytes of arguments given as JSON; raise `InvalidInput` naming the field's path."""
        unknown = self._unknown(data)
        if unknown:
            raise InvalidInput(
                f"step {self.name!r} takes no argument {unknown[0]!r}; it takes: {', '.join(self._names) or 'none'}",
                field=unknown[0],
            )
        return canonical.encode(canonical.decode(data, self._input))

    def _unknown(self, data: bytes) -> list[str]:
        given = canonical.decode(data)
        return sorted(given.keys() - set(self._names)) if isinstance(given, dict) else []

    def schema(self) -> bytes:
        """Return the JSON Schema of the arguments by name; where a type has none (`object`), anything fits."""
        return msgspec.json.encode(
            msgspec.json.schema(self._input, schema_hook=lambda _: {"description": "anything"}), order="sorted"
        )

    def output(self, value: Any) -> bytes:
        """Return the canonical bytes of a result; raise `InvalidInput` naming the path where its type is wrong."""
        data = canonical.encode(value)
        if self._check is not None:
            try:
                self._check(data)
            except InvalidInput as error:
                raise InvalidInput(
                    f"step {self.name!r} returned a wrong value: {error.message}", **error.facts
                ) from None
        return data


@lru_cache(maxsize=10_000)
def invocation_of(definition: StepDefinition[Any, Any]) -> Invocation:
    """Return the compiled plan of `definition`."""
    return Invocation(definition)


def execute(task: Task, definition: StepDefinition[Any, Any], services: Services) -> Outcome:
    """Run one attempt to its end.  Never raises for what user code does."""
    now_ns = services.now_ns
    started = now_ns()
    context: StepContext | None = None
    try:
        invocation = invocation_of(definition)
        if invocation.transaction is not None:
            return _execute_in_transaction(task, invocation, services)
        args, kwargs = invocation.arguments(task.input)
        if invocation.injected is not None:
            context = kwargs[invocation.injected] = services.context(task)
        value = invocation.function(*args, **kwargs)
        if invocation.is_coroutine:
            value = asyncio.run(value)
        output = invocation.output(value)
    except BaseException as error:  # SystemExit in a step is that step's failure
        return Outcome(None, failure_of(error, definition.options), _learned(context), started, now_ns())
    return Outcome(output, None, () if context is None else context.effects.learned, started, now_ns())


def _execute_in_transaction(task: Task, invocation: Invocation, services: Services) -> Outcome:
    """Run one attempt of a database step: what it writes and its outcome are committed together, or not at all."""
    steps, conflicts, started = services.database_steps, Conflicts(task.timeout_s), services.now_ns()
    if task.job:
        raise InvalidInput(f"{task.target} is a database step: its rows commit with a run's record, and a job has none")
    if steps is None:
        raise Unavailable(f"step {task.step!r} asks for a transaction, and this engine was started without them")
    while True:
        context, opened = services.context(task), None
        try:
            args, kwargs = invocation.arguments(task.input)
            command = outcome_id(task.run_id, task.step, task.attempt)
            with steps.begin(task.run_id, task.step, task.attempt, command=command) as opened:
                kwargs |= {str(invocation.transaction): Transaction(opened.connection)}
                if invocation.injected is not None:
                    kwargs[invocation.injected] = context
                output = invocation.output(invocation.function(*args, **kwargs))
                outcome = Outcome(output, None, context.effects.learned, started, services.now_ns())
                outcome = services.reports.complete(task, outcome)
                services.begin_commit(task)
                try:
                    opened.commit(outcome_body(task.step, task.attempt, outcome, worker=steps.incarnation))
                finally:
                    services.end_commit(task)
        except BaseException as error:
            lost = isinstance(error, Unavailable) if opened is None else opened.is_lost
            if task not in services.given_up and conflicts.may_try_again(error, connection_lost=lost):
                continue
            return Outcome(None, failure_of(error), context.effects.learned, started, services.now_ns())
        steps.sent()
        return Outcome(None, None, (), started, outcome.finished_ns, is_sent=True)


async def execute_async(task: Task, definition: StepDefinition[Any, Any], services: Services) -> Outcome:
    """Run one attempt of a coroutine step on the running loop; past `timeout_s` it is cancelled for real."""
    started = services.now_ns()
    context: StepContext | None = None
    try:
        invocation = invocation_of(definition)
        args, kwargs = invocation.arguments(task.input)
        if invocation.injected is not None:
            context = kwargs[invocation.injected] = services.context(task)
        limit = asyncio.timeout(task.timeout_s)
        try:
            async with limit:
                value = await invocation.function(*args, **kwargs)
        except TimeoutError:
            if not limit.expired():
                raise
            return Outcome(None, timed_out(task), _learned(context), started, services.now_ns())
        output = invocation.output(value)
    except asyncio.CancelledError:
        return Outcome(None, CANCELLED, _learned(context), started, services.now_ns())
    except BaseException as error:
        return Outcome(None, failure_of(error, definition.options), _learned(context), started, services.now_ns())
    return Outcome(output, None, _learned(context), started, services.now_ns())


def timed_out(task: Task) -> Failure:
    """Return the failure of an attempt that ran past its limit."""
    return Failure(
        type=StepTimeout.__name__,
        message=f"step {task.step!r} ran past its limit of {task.timeout_s:g} s",
        cause="timeout",
    )


def unknown_target(task: Task, services: Services) -> Outcome:
    """Return the outcome of an attempt whose code this process does not have."""
    now = services.now_ns()
    failure = Failure(type="NotFound", message=f"no code for {task.target!r} is registered here", retryable=False)
    return Outcome(None, failure, (), now, now)


def failure_of(error: BaseException, options: StepOptions | None = None) -> Failure:
    """Return what is recorded of an exception.  Its attribute `retryable`, where it has one, is honoured, and so are
    the step's `retry_on` and `give_up_on`.
    """
    return Failure(
        type=_recordable(type(error).__qualname__),
        message=_recordable(_message(error))[:MESSAGE_MAX],
        traceback=_recordable(_user_frames(error))[-TRACEBACK_MAX:],
        retryable=_is_retryable(error) and (options is None or may_retry(options, error)),
        cause="timeout" if isinstance(error, StepTimeout) else "error",
    )


def _recordable(text: str) -> str:
    """Return `text` with what UTF-8 cannot hold (half a surrogate pair) written as an escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _is_retryable(error: BaseException) -> bool:
    try:
        return getattr(error, "retryable", not isinstance(error, _FINAL)) is not False
    except Exception:
        return True


def _message(error: BaseException) -> str:
    try:
        return error.message if isinstance(error, KronosError) else str(error)
    except Exception as second:
        return f"(its message could not be read: {type(second).__name__})"


def _user_frames(error: BaseException) -> str:
    try:
        summary = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=False)
        _leave_out_ours(summary)
        return "".join(summary.format()) if summary.stack else ""
    except Exception as second:
        return f"(its traceback could not be read: {type(second).__name__})"


def _leave_out_ours(summary: traceback.TracebackException) -> None:
    seen: set[int] = set()
    chain: list[traceback.TracebackException | None] = [summary]
    while chain:
        one = chain.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.stack = traceback.StackSummary.from_list(
            [frame for frame in one.stack if not frame.filename.startswith(_OURS)]
        )
        chain += [one.__cause__, one.__context__, *(one.exceptions or ())]


def _learned(context: StepContext | None) -> tuple[Effect, ...]:
    return () if context is None else context.effects.learned


def _default(value: Any) -> Any:
    return msgspec.field(default_factory=lambda: value)


def _checker(returns: Any) -> Callable[[bytes], object] | None:
    if returns is Any or returns is object:
        return None
    decode = msgspec.json.Decoder(returns).decode

    def check(data: bytes) -> None:
        if b'"$' not in data:
            try:
                decode(data)
            except msgspec.MsgspecError:
                pass
            else:
                return
        canonical.decode(data, returns)

    return check
