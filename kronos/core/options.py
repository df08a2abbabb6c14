"""How a step is to be run: its limits, its retries, where it executes, what it may do to the world.

Rule 1: every option is checked when the step is declared, never when it runs.
Rule 2: a duration is said once, in words ("10m", "1.5s", "250ms"), and kept as seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from kronos.errors import InvalidInput, WorkflowDefinitionError
from kronos.kernel.durations import seconds_of

__all__ = [
    "QUEUE_NAME",
    "STEPS_QUEUE",
    "Duration",
    "Effect",
    "Executor",
    "StepOptions",
    "duration_s",
    "may_retry",
    "parse_duration",
    "parse_errors",
]

Executor: TypeAlias = Literal["thread", "process", "async"]
Effect: TypeAlias = Literal["pure", "read", "tx", "external"]
Duration: TypeAlias = str | float | timedelta
"""`"10m"`, `"1.5s"`, `"250ms"`, a `timedelta`, or seconds."""

RETRIES_MAX: Final = 1_000
DURATION_S_MAX: Final = 366 * 86_400.0

QUEUE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
STEPS_QUEUE: Final = "steps"
"""Where steps go that any worker may execute which serves their definition."""


class StepOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step declares about its own execution; part of its workflow's graph."""

    executor: Executor = "thread"
    effect: Effect = "pure"
    retries: int = 0
    backoff_s: float = 1.0
    backoff_max_s: float = 300.0
    timeout_s: float | None = None
    heartbeat_timeout_s: float | None = None
    retry_on: tuple[str, ...] = ()
    give_up_on: tuple[str, ...] = ()
    queue: str | None = None

    def __post_init__(self) -> None:
        if self.queue is not None and (not QUEUE_NAME.fullmatch(str(self.queue)) or self.queue == STEPS_QUEUE):
            expected = f"small letters, digits, '_', '.' or '-', at most 63 of them, and not {STEPS_QUEUE!r}"
            raise _refused("queue", self.queue, expected)
        if str(self.effect) not in get_args(Effect):
            raise _refused("effect", self.effect, f"one of {', '.join(get_args(Effect))}")
        if str(self.executor) not in get_args(Executor):
            raise _refused("executor", self.executor, f"one of {', '.join(get_args(Executor))}")
        if self.effect == "tx" and self.executor != "thread":
            raise _refused("executor", self.executor, 'executor="thread" for effect="tx": its transaction stays here')
        if self.effect == "tx" and self.queue is not None:
            raise _refused("queue", self.queue, 'no queue for effect="tx": its transaction is that of the run\'s owner')
        if type(self.retries) is not int or not 0 <= self.retries <= RETRIES_MAX:
            raise _refused("retries", self.retries, f"a whole number from 0 to {RETRIES_MAX}")
        if self.backoff_s > self.backoff_max_s:
            raise _refused("backoff", self.backoff_s, f"at most backoff_max ({self.backoff_max_s:g} s)")


def parse_errors(given: Sequence[type[BaseException] | str], *, field: str) -> tuple[str, ...]:
    """Return the names of exception classes, given as classes or names."""
    if isinstance(given, str | type) or not isinstance(given, Iterable):
        raise _refused(field, given, f"a list of exceptions, as in {field}=[ConnectionError]")
    return tuple(_error_name(each, field) for each in given)


def _error_name(given: object, field: str) -> str:
    if isinstance(given, type) and issubclass(given, BaseException):
        return given.__qualname__
    if isinstance(given, str) and given.isidentifier():
        return given
    raise _refused(field, given, 'exception classes or their names, such as "ConnectionError"')


def may_retry(options: StepOptions, error: BaseException) -> bool:
    """Tell whether another attempt may help against `error`; a name stands for the class and its subclasses."""
    names = {kind.__qualname__ for kind in type(error).__mro__}
    return names.isdisjoint(options.give_up_on) and (not options.retry_on or not names.isdisjoint(options.retry_on))


def parse_duration(value: Duration, *, field: str) -> float:
    """Return `value` in seconds; raise `WorkflowDefinitionError` naming `field` when it is no positive duration."""
    try:
        return duration_s(value, field=field)
    except InvalidInput as error:
        raise WorkflowDefinitionError(error.message, **error.facts) from None


def duration_s(value: Duration, *, field: str) -> float:
    """Return `value`, given with a wish and not in a definition, in seconds; raise `InvalidInput` naming `field`."""
    seconds = _seconds(value)
    if seconds is None or not 0 < seconds <= DURATION_S_MAX:
        raise InvalidInput(
            f'{field}={value!r}: expected a positive duration such as "10m", "1.5s", "250ms", at most 366d',
            field=field,
            value=value,
        )
    return seconds


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) <= DURATION_S_MAX else math.inf  # an int may be larger than any float
    return seconds_of(value) if isinstance(value, str) else None


def _refused(field: str, value: object, expected: str) -> WorkflowDefinitionError:
    return WorkflowDefinitionError(f"{field}={value!r}: expected {expected}", field=field, value=value)
