"""Reading a workflow function once, so that its DAG is known before anything runs.

Rule 1: each use of a step becomes one node, and its result a stand-in (`core.proxies`).
Rule 2: what the annotations already show to be wrong is refused here, with the line and the path of the field.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, Self, get_args, get_origin

import msgspec

from kronos.core.assignable import mismatch, plain_type
from kronos.core.binding import Reference, Tree
from kronos.core.fields import attribute, closest
from kronos.core.graph import NODES_MAX, Node, topological_order
from kronos.core.options import StepOptions
from kronos.core.proxies import Proxy, is_proxy, read, refuse, stand_in, user_line
from kronos.core.signature import EMPTY, Signature
from kronos.errors import InvalidInput, WorkflowDefinitionError
from kronos.kernel import canonical

__all__ = ["Tracer", "active_tracer"]

STEP_NAME: Final = re.compile(r"\w[\w.:\-]{0,127}")

_active: ContextVar[Tracer | None] = ContextVar("kronos_tracer", default=None)


def active_tracer() -> Tracer | None:
    """Return the trace in progress, or None when functions are simply called."""
    return _active.get()


class Call(msgspec.Struct, frozen=True):
    """One use of a step in a workflow function, and where it stands."""

    node: Node
    line: str
    definition: Any


class Tracer:
    """Collects the calls of one workflow function."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}

    def __enter__(self) -> Self:
        self._token = _active.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _active.reset(self._token)

    def call(
        self,
        *,
        name: str,
        target: str,
        signature: Signature,
        options: StepOptions,
        after: Sequence[str],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        definition: object,
    ) -> Proxy:
        """Record one use of a step and return the stand-in for its result."""
        self._check_name(name)
        trees: dict[str, Tree] = {}
        needs: dict[str, None] = {}
        for parameter, value in self._arguments(name, signature, args, kwargs).items():
            kind = next(p.type for p in signature.parameters if p.name == parameter)
            trees[parameter] = self.tree(value, kind, f"step {name!r}", parameter, needs)
        node = Node(
            name=name, target=target, args=trees, needs=tuple(needs), after=tuple(dict.fromkeys(after)), options=options
        )
        self.calls[name] = Call(node, user_line(), definition)
        return stand_in(self, Reference(name), signature.returns, f"the result of step {name!r}")

    def nodes(self) -> tuple[Node, ...]:
        """Return the traced nodes in topological order; raise for a cycle or a missing step, with its line."""
        calls = self.calls
        try:
            order = topological_order({name: (*c.node.needs, *c.node.after) for name, c in calls.items()})
        except WorkflowDefinitionError as error:
            guilty = error.facts.get("step") or error.facts["cycle"][0]  # type: ignore[index]
            raise WorkflowDefinitionError(f"{calls[str(guilty)].line}: {error.message}", **error.facts) from None
        return tuple(calls[name].node for name in order)

    def tree(self, value: Any, kind: Any, owner: str, field: str, needs: dict[str, None]) -> Tree:
        """Return the binding tree of `value`, checked against `kind`; add the steps it refers to to `needs`."""
        if is_proxy(value):
            return self._reference_tree(value, kind, owner, field, needs)
        if not _holds_proxy(value):
            return _literal(value, kind, owner, field)
        if why := mismatch(type(value), kind, field):
            refuse(f"{owner}: {why}", field=field)
        if type(value) in (list, tuple):
            kinds = _item_kinds(kind, len(value))
            return [
                self.tree(v, k, owner, f"{field}[{i}]", needs)
                for i, (v, k) in enumerate(zip(value, kinds, strict=True))
            ]
        if type(value) is dict:
            held = _value_kind(kind)
            return {_escaped(k): self.tree(v, held, owner, f"{field}.{k}", needs) for k, v in value.items()}
        return self._record_tree(value, owner, field, needs)

    def _reference_tree(self, proxy: Proxy, kind: Any, owner: str, field: str, needs: dict[str, None]) -> Tree:
        reading = read(proxy)
        if reading.tracer is not self:
            refuse(f"{owner}: {field} is {reading.describe()} of another workflow", field=field)
        if why := mismatch(reading.type, kind, field):
            refuse(f"{owner}: {why} ({reading.describe()})", field=field)
        if reading.reference.step is not None:
            needs[reading.reference.step] = None
        return reading.reference.tree()

    def _record_tree(self, record: Any, owner: str, field: str, needs: dict[str, None]) -> Tree:
        """Return the tree of a dataclass, Struct or named tuple that holds proxies."""
        kind = type(record)
        trees: list[tuple[Any, Tree]] = []
        for name in _record_fields(record):
            held, element = attribute(kind, name)
            trees.append((element, self.tree(getattr(record, name), held, owner, f"{field}.{name}", needs)))
        config = getattr(kind, "__struct_config__", None)
        tagged = config is not None and config.tag is not None
        if trees and isinstance(trees[0][0], int):
            return ([config.tag] if tagged else []) + [tree for _, tree in trees]  # type: ignore[union-attr]
        tag = {_escaped(config.tag_field): config.tag} if tagged else {}  # type: ignore[union-attr]
        return tag | {_escaped(element): tree for element, tree in trees}

    def _check_name(self, name: str) -> None:
        if not STEP_NAME.fullmatch(name):
            refuse(f"{name!r} is no step name: give one of letters, digits, '_', '-', '.', ':' with name=", step=name)
        if (earlier := self.calls.get(name)) is not None:
            refuse(
                f"step {name!r} is used twice (first at {earlier.line}): name one use, "
                f'as in {earlier.node.target.rpartition(":")[2]}.named("{name}-2")(…)',
                step=name,
            )
        if len(self.calls) >= NODES_MAX:
            refuse(f"more than {NODES_MAX} steps in one workflow")

    @staticmethod
    def _arguments(
        name: str, signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        parameters = [p for p in signature.python.parameters.values() if p.name != signature.injected]
        known = [p.name for p in parameters]
        if signature.injected is not None and signature.injected in kwargs:
            refuse(f"step {name!r}: {signature.injected!r} is given by the engine: leave it out", step=name)
        for given in kwargs:
            if given not in known:
                refuse(f"step {name!r} has no parameter {given!r}{closest(given, known)}", step=name, field=given)
        try:
            bound = signature.python.replace(parameters=parameters).bind(*args, **kwargs)
        except TypeError as error:
            refuse(f"step {name!r}: {error}; it takes ({', '.join(known)})", step=name)
        defaults = {p.name: p.default for p in signature.parameters if p.default is not EMPTY}
        return bound.arguments | {
            key: value for key, value in defaults.items() if key not in bound.arguments and _recordable(value)
        }


def _literal(value: Any, kind: Any, owner: str, field: str) -> Tree:
    try:
        plain = canonical.to_plain(value)
        canonical.decode(canonical.encode(value), kind)
    except InvalidInput as error:
        path = field + str(error.facts.get("field", "$"))[1:]
        reason = error.facts.get("reason", error.message)
        refuse(f"{owner}: {path}: {reason}", field=path, value=value)
    except TypeError as error:
        refuse(f"{owner}: {field}: {kind!r} cannot be an input: {error}", field=field)
    return plain


def _recordable(value: Any) -> bool:
    try:
        canonical.to_plain(value)
    except InvalidInput:
        return False
    return True


def _holds_proxy(value: Any) -> bool:
    if is_proxy(value):
        return True
    kind = type(value)
    if kind in (list, tuple):
        return any(_holds_proxy(v) for v in value)
    if kind is dict:
        return any(_holds_proxy(v) for v in value.values())
    return any(_holds_proxy(getattr(value, name, None)) for name in _record_fields(value))


def _record_fields(value: Any) -> Iterable[str]:
    kind = type(value)
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return getattr(kind, "_fields", ()) if issubclass(kind, tuple) else ()


def _item_kinds(kind: Any, count: int) -> list[Any]:
    kind = plain_type(kind)
    arguments = get_args(kind)
    if get_origin(kind) is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(arguments) != count:
            refuse(f"expected {len(arguments)} items, got {count}")
        return list(arguments)
    held = arguments[0] if arguments and get_origin(kind) in _HOLDERS else Any
    return [held] * count


def _value_kind(kind: Any) -> Any:
    kind = plain_type(kind)
    arguments = get_args(kind)
    return arguments[1] if len(arguments) == 2 and get_origin(kind) in _HOLDERS else Any


_HOLDERS: Final = frozenset({list, tuple, set, frozenset, dict, Sequence, Iterable, Collection, Mapping})


def _escaped(key: Any) -> str:
    text = str(key)
    return "$" + text if text[:1] == "$" else text
