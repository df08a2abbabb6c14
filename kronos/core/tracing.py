"""Reading a workflow function once, so that its DAG is known before anything runs.

Rule 1: each use of a step becomes one node, and its result a stand-in (`core.proxies`).
Rule 2: what stands in an arm of a branch can be used in that arm alone: elsewhere it may never have happened.
Rule 3: what the annotations already show to be wrong is refused here, with the line and the path of the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol, Self

import msgspec

from kronos.core.assignable import mismatch
from kronos.core.binding import Reference, Tree
from kronos.core.fields import attribute, closest
from kronos.core.graph import NODES_MAX, Node, topological_order
from kronos.core.inputs import UNDO
from kronos.core.literals import escaped, holds_proxy, is_recordable, item_kinds, literal, record_fields, value_kind
from kronos.core.options import StepOptions
from kronos.core.proxies import Proxy, is_proxy, read, refuse, stand_in, user_line
from kronos.core.signature import EMPTY, Signature
from kronos.errors import WorkflowDefinitionError

__all__ = ["Traced", "Tracer", "active_tracer"]

STEP_NAME: Final = re.compile(r"(?!undo:)\w[\w.:\-]{0,127}")

_active: ContextVar[Tracer | None] = ContextVar("kronos_tracer", default=None)


def active_tracer() -> Tracer | None:
    """Return the trace in progress, or None when functions are simply called."""
    return _active.get()


class Traced(Protocol):
    """What is called: a step's code, and how it is to be run."""

    @property
    def name(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def signature(self) -> Signature: ...
    @property
    def options(self) -> StepOptions: ...
    @property
    def after(self) -> Sequence[str]: ...


class Call(msgspec.Struct, frozen=True):
    """One use of a step in a workflow function, and where it stands; a node without code has no definition."""

    node: Node
    line: str
    definition: Any


class Tracer:
    """Collects the calls of one workflow function."""

    def __init__(self, signature: Signature | None = None) -> None:
        self.signature: Final = signature
        """Of the workflow that is read."""
        self.calls: dict[str, Call] = {}
        self._scopes: list[str] = [""]

    def __enter__(self) -> Self:
        self._token = _active.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _active.reset(self._token)

    def call(self, definition: Traced, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Proxy:
        """Record one use of a step and return the stand-in for its result."""
        name, signature = definition.name, definition.signature
        self.check_name(name)
        needs: dict[str, None] = {}
        trees = self.trees(definition, args, kwargs, needs)
        self.add(
            Node(
                name=name,
                target=definition.target,
                args=trees,
                needs=tuple(needs),
                after=tuple(dict.fromkeys(definition.after)),
                options=definition.options,
            ),
            definition,
        )
        return stand_in(self, Reference(name), signature.returns, f"the result of step {name!r}")

    def trees(
        self, definition: Traced, args: tuple[Any, ...], kwargs: Mapping[str, Any], needs: dict[str, None]
    ) -> dict[str, Tree]:
        """Return the binding trees of a call's arguments; add the steps they refer to to `needs`."""
        name, signature = definition.name, definition.signature
        kinds = {p.name: p.type for p in signature.parameters}
        return {
            parameter: self.tree(value, kinds[parameter], f"step {name!r}", parameter, needs)
            for parameter, value in self._arguments(name, signature, args, kwargs).items()
        }

    def add(self, node: Node, definition: object = None) -> None:
        """Add a node where the trace stands: in the workflow, or in an arm of a branch, which it then waits for."""
        if node.within == "" != (scope := self._scopes[-1]):
            around = scope.partition("/")[0]
            node = msgspec.structs.replace(node, within=scope, after=tuple(dict.fromkeys((*node.after, around))))
        self.calls[node.name] = Call(node, user_line(), definition)
        if (undo := getattr(definition, "compensate", None)) is not None:
            self._add_undo(node, definition, undo)

    def _add_undo(self, node: Node, definition: Any, undo: Any) -> None:
        """Add the node behind the steps that undo those of `node`; its one argument is what they gave."""
        name = f"{UNDO}{node.name}"
        given = stand_in(
            self, Reference(f"{node.name}[]"), definition.signature.returns, f"the result of {node.name!r}"
        )
        self.calls[name] = Call(
            Node(
                name=name,
                target=undo.target,
                args=self.trees(undo, (given,), {}, {}),
                after=(node.name,),
                options=undo.options,
                kind="undo",
                within=f"{node.name}/undo",
            ),
            user_line(),
            undo,
        )

    @contextmanager
    def inside(self, scope: str) -> Iterator[dict[str, None]]:
        """Trace what stands in `scope`; what it needs from outside is in the dict afterwards."""
        before, needs = set(self.calls), dict[str, None]()
        self._scopes.append(scope)
        yield needs
        self._scopes.pop()
        inner = [call.node for name, call in self.calls.items() if name not in before]
        known = {node.name for node in inner} | {scope.partition("/")[0]}
        for node in inner:
            needs |= dict.fromkeys(name for name in (*node.needs, *node.after) if name not in known)
        for name in [name for name in needs if name in known]:
            del needs[name]

    def nodes(self) -> tuple[Node, ...]:
        """Return the traced nodes in topological order; raise for a cycle or a missing step, with its line."""
        calls = self.calls
        for call in calls.values():
            self._check_after(call)
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
        if not holds_proxy(value):
            return literal(value, kind, owner, field)
        if why := mismatch(type(value), kind, field):
            refuse(f"{owner}: {why}", field=field)
        if type(value) in (list, tuple):
            kinds = item_kinds(kind, len(value))
            return [
                self.tree(v, k, owner, f"{field}[{i}]", needs)
                for i, (v, k) in enumerate(zip(value, kinds, strict=True))
            ]
        if type(value) is dict:
            held = value_kind(kind)
            return {escaped(k): self.tree(v, held, owner, f"{field}.{k}", needs) for k, v in value.items()}
        return self._record_tree(value, owner, field, needs)

    def _reference_tree(self, proxy: Proxy, kind: Any, owner: str, field: str, needs: dict[str, None]) -> Tree:
        reading = read(proxy)
        if reading.tracer is not self:
            refuse(f"{owner}: {field} is {reading.describe()} of another workflow", field=field)
        if why := mismatch(reading.type, kind, field):
            refuse(f"{owner}: {why} ({reading.describe()})", field=field)
        step = reading.reference.step
        if step is not None and step[-1] != "]":  # an element of a map comes from the map itself
            self._check_visible(step, owner, field)
            needs[step] = None
        return reading.reference.tree()

    def _check_visible(self, step: str, owner: str, field: str) -> None:
        scope = self.calls[step].node.within
        if scope not in self._scopes:
            around, _, arm = scope.partition("/")
            refuse(
                f"{owner}: {field} is the result of step {step!r}, which runs only where {around!r} takes {arm!r}: "
                f"return it from that arm and use the result of when(…)",
                field=field,
                step=step,
            )

    def _check_after(self, call: Call) -> None:
        visible, scope = {""}, call.node.within
        while scope:
            visible.add(scope)
            scope = self.calls[scope.partition("/")[0]].node.within
        for name in call.node.after:
            known = self.calls.get(name)
            if known is not None and known.node.within not in visible:
                around = known.node.within.partition("/")[0]
                raise WorkflowDefinitionError(
                    f"{call.line}: step {call.node.name!r} comes after {name!r}, which stands inside {around!r} and "
                    f"may never run: wait for {around!r}",
                    step=call.node.name,
                )

    def _record_tree(self, record: Any, owner: str, field: str, needs: dict[str, None]) -> Tree:
        """Return the tree of a dataclass, Struct or named tuple that holds proxies."""
        kind = type(record)
        trees: list[tuple[Any, Tree]] = []
        for name in record_fields(record):
            held, element = attribute(kind, name)
            trees.append((element, self.tree(getattr(record, name), held, owner, f"{field}.{name}", needs)))
        config = getattr(kind, "__struct_config__", None)
        tagged = config is not None and config.tag is not None
        if trees and isinstance(trees[0][0], int):
            return ([config.tag] if tagged else []) + [tree for _, tree in trees]  # type: ignore[union-attr]
        tag = {escaped(config.tag_field): config.tag} if tagged else {}  # type: ignore[union-attr]
        return tag | {escaped(element): tree for element, tree in trees}

    def check_name(self, name: str) -> None:
        """Refuse a name that is none, or that is taken."""
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
        parameters = [p for p in signature.python.parameters.values() if p.name not in signature.given]
        known = [p.name for p in parameters]
        for engines in signature.given:
            if engines in kwargs:
                refuse(f"step {name!r}: {engines!r} is given by the engine: leave it out", step=name)
        for given in kwargs:
            if given not in known:
                refuse(f"step {name!r} has no parameter {given!r}{closest(given, known)}", step=name, field=given)
        try:
            bound = signature.python.replace(parameters=parameters).bind(*args, **kwargs)
        except TypeError as error:
            refuse(f"step {name!r}: {error}; it takes ({', '.join(known)})", step=name)
        defaults = {p.name: p.default for p in signature.parameters if p.default is not EMPTY}
        return bound.arguments | {
            key: value for key, value in defaults.items() if key not in bound.arguments and is_recordable(value)
        }
