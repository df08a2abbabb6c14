"""What a workflow may wait for: `sleep`, `sleep_until`, `wait_for_signal`, `approval`.

Rule 1: each is a step of the workflow, with a name, a place in the DAG and a result; nothing works while it waits.
Rule 2: in a workflow function lines are no order.  What comes after a wait takes its result, or names it in `after=`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NoReturn, TypeVar, overload

import msgspec

from kronos.core.asking import Decided
from kronos.core.binding import Reference
from kronos.core.definition import step_names
from kronos.core.graph import Node
from kronos.core.options import Duration, parse_duration
from kronos.core.proxies import is_proxy, refuse, stand_in
from kronos.core.tracing import Tracer, active_tracer
from kronos.errors import WorkflowDefinitionError

__all__ = ["approval", "sleep", "sleep_until", "wait_for_signal"]

T = TypeVar("T")

NO_DEFAULT: Final = msgspec.UNSET


def sleep(duration: Duration, *, name: str = "sleep", after: Sequence[object] = ()) -> None:
    """Wait for `duration` ("3d", seconds, a timedelta, or a step's number of seconds) once every `after` is done.

    A sleeping run costs its row and nothing else, for as long as it takes, through restarts of everything.
    Raises `WorkflowDefinitionError` naming the line.
    """
    tracer = _tracer("sleep", "in a step, call time.sleep")
    seconds: Any = duration if is_proxy(duration) else parse_duration(duration, field="duration")
    return _wait(tracer, "timer", name, after, {"seconds": (seconds, float)}, type(None))  # type: ignore[no-any-return]


def sleep_until(when: datetime, *, name: str = "sleep", after: Sequence[object] = ()) -> None:
    """Wait until `when`, a datetime with its time zone, or a step's result that is one; at once where it has passed.

    Raises `WorkflowDefinitionError` naming the line.
    """
    tracer = _tracer("sleep_until", "in a step, call time.sleep")
    if not is_proxy(when) and (not isinstance(when, datetime) or when.tzinfo is None):  # type: ignore[redundant-expr]
        refuse(f"sleep_until({when!r}): expected a datetime with a time zone", field="when", value=when)
    return _wait(tracer, "timer", name, after, {"until": (when, datetime)}, type(None))  # type: ignore[no-any-return]


@overload
def wait_for_signal(
    name: str,
    type: type[T],
    *,
    timeout: Duration | None = None,
    default: T | msgspec.UnsetType = ...,
    step: str | None = None,
    after: Sequence[object] = (),
) -> T: ...
@overload
def wait_for_signal(
    name: str,
    *,
    timeout: Duration | None = None,
    default: Any = ...,
    step: str | None = None,
    after: Sequence[object] = (),
) -> Any: ...
def wait_for_signal(
    name: str,
    type: Any = Any,  # noqa: A002 - the word that users expect
    *,
    timeout: Duration | None = None,
    default: Any = NO_DEFAULT,
    step: str | None = None,
    after: Sequence[object] = (),
) -> Any:
    """Wait for a message called `name` that fits `type`, and return what it says.

    Messages are kept in the order in which they came, those that came before the wait too; each is taken once.  After
    `timeout` the result is `default`; without one the run fails.  The step is called `step`, or else as the message.
    Raises `WorkflowDefinitionError` naming the line.
    """
    tracer = _tracer("wait_for_signal", "a step that needs a message takes it as an argument")
    if not isinstance(name, str) or not name:  # type: ignore[redundant-expr]
        refuse(f"wait_for_signal({name!r}): expected the name of a message", field="name", value=name)
    fields: dict[str, tuple[Any, Any]] = {"name": (name, str), "schema": (_schema(name, type), dict[str, Any])}
    if timeout is not None:
        fields["timeout"] = (parse_duration(timeout, field="timeout"), float)
    if default is not NO_DEFAULT:
        if timeout is None:
            refuse(
                f"wait_for_signal({name!r}): default= is what comes of a timeout: give timeout= too", field="default"
            )
        fields["default"] = (default, type)
    return _wait(tracer, "signal", step or name, after, fields, type)


def approval(
    who: str,
    message: Any = "",
    *,
    timeout: Duration | None = None,
    name: str = "approval",
    after: Sequence[object] = (),
) -> Decided:
    """Wait until somebody approves or rejects, and return `.approved`, `.by`, `.reason` and `.timed_out`.

    `who` says whose word is needed, `message` on what: any value, a step's result for instance.  After `timeout`
    nobody has approved.  Where no step reads the result, a rejection or a timeout fails the run: what comes after an
    approval must not happen without it.  Raises `WorkflowDefinitionError` naming the line.
    """
    tracer = _tracer("approval", "a step that needs a decision takes it as an argument")
    if not isinstance(who, str) or not who:  # type: ignore[redundant-expr]
        refuse(f"approval({who!r}): say whose word is needed", field="who", value=who)
    fields: dict[str, tuple[Any, Any]] = {"who": (who, str), "message": (message, Any)}
    if timeout is not None:
        fields["timeout"] = (parse_duration(timeout, field="timeout"), float)
    return _wait(tracer, "approval", name, after, fields, Decided)  # type: ignore[no-any-return]


def _wait(  # noqa: PLR0917 - what a node is made of
    tracer: Tracer, kind: str, name: str, after: Sequence[object], fields: dict[str, tuple[Any, Any]], result: Any
) -> Any:
    tracer.check_name(name)
    needs: dict[str, None] = {}
    owner = f"step {name!r}"
    trees = {field: tracer.tree(value, wanted, owner, field, needs) for field, (value, wanted) in fields.items()}
    order = tuple(dict.fromkeys(step_names(after)))
    tracer.add(Node(name=name, target="", args=trees, needs=tuple(needs), after=order, kind=kind))
    return stand_in(tracer, Reference(name), result, f"the result of {name!r}")


def _tracer(function: str, instead: str) -> Tracer:
    tracer = active_tracer()
    if tracer is None:
        _refuse_outside(function, instead)
    return tracer


def _refuse_outside(function: str, instead: str) -> NoReturn:
    raise WorkflowDefinitionError(f"{function}() belongs into a workflow function ({instead})", function=function)


def _schema(name: str, kind: Any) -> dict[str, Any]:
    try:
        return msgspec.json.schema(kind)
    except (TypeError, NotImplementedError) as error:
        refuse(f"the signal {name!r} cannot be read from JSON as {kind!r}: {error}", field="type")
