"""What a fork does otherwise than its parent, and what follows from that.

Rule 1: a fork's history is its parent's up to a seq, then its own; what completed before is never executed again.
Rule 2: beyond the fork an outcome of the parent is reused only where code, input and environment are the same, and only
        of steps that are `pure` or `read`: what touched the world outside is not taken for done by another run.
Rule 3: a fork goes on in its parent's world: what that one had replaced stays replaced, until it is replaced again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from kronos.core.elements import check_element
from kronos.core.fields import closest
from kronos.core.graph import Graph, Node, node_name
from kronos.errors import InvalidInput

__all__ = [
    "REUSABLE",
    "Fork",
    "Reuse",
    "check_arguments",
    "check_steps",
    "decode_fork",
    "downstream",
    "encode_fork",
    "inherit",
]

Reuse: TypeAlias = Literal["unchanged", "beside", "none"]
"""Which outcomes beyond the fork may be reused: of all steps that nothing changed for; only of steps that do not depend
on `at`; or none.
"""

REUSABLE: Final = frozenset({"pure", "read"})
_decode_arguments: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode_arguments: Final = msgspec.json.Encoder(order="sorted").encode


class Fork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The changes of a fork.

    `at` runs again whatever its input; `inputs` replaces arguments of steps, `outputs` stands for executing them
    (canonical JSON); `allow_external` lets steps act on the world outside once more.
    """

    at: str | None = None
    inputs: dict[str, dict[str, msgspec.Raw]] = {}
    outputs: dict[str, msgspec.Raw] = {}
    reuse: Reuse = "unchanged"
    allow_external: bool = False

    def arguments(self, step: str, data: bytes) -> bytes:
        """Return a step's canonical arguments with what is replaced of them: of `score`, for each `score[n]`."""
        given = self.inputs.get(step) or self.inputs.get(node_name(step))
        return _encode_arguments({**_decode_arguments(data), **given}) if given else data


_encode: Final = msgspec.json.Encoder(order="sorted").encode
_decode: Final = msgspec.json.Decoder(Fork).decode


def encode_fork(fork: Fork) -> bytes:
    """Return the canonical bytes of `fork`."""
    return _encode(fork)


def decode_fork(data: bytes | msgspec.Raw) -> Fork:
    """Return the fork of `encode_fork`'s bytes."""
    return _decode(data)


def inherit(parent: Fork | None, fork: Fork) -> Fork:
    """Return `fork` with what `parent` had replaced; the step that is to run again is not kept from it."""
    if parent is None:
        return fork
    inputs = {**parent.inputs, **fork.inputs}
    outputs = {step: value for step, value in parent.outputs.items() if step not in (fork.at, *fork.inputs)}
    return msgspec.structs.replace(fork, inputs=inputs, outputs={**outputs, **fork.outputs})


def downstream(graph: Graph, step: str) -> frozenset[str]:
    """Return the node behind `step` and all that depend on it, directly or not, also through what holds them."""
    found, todo = {node_name(step)}, [node_name(step)]
    while todo:
        name = todo.pop()
        container = graph.by_name[name].within.partition("/")[0]
        after = graph.successors[name] + (graph.followers[container] if container else ())
        todo += [follower for follower in after if follower not in found]
        found.update(after)
    return frozenset(found)


def check_steps(graph: Graph, steps: Collection[str], field: str) -> None:
    """Raise `InvalidInput` for a step that is none of the graph's, naming the nearest, or an element of none."""
    for step in steps:
        if node_name(step) not in graph.by_name:
            known = ", ".join(list(graph.by_name)[:10])
            raise InvalidInput(
                f"{field}: no step {step!r}{closest(step, graph.by_name)}: it has {known}", field=field, value=step
            )
        check_element(graph, step, field)


def check_arguments(node: Node, given: Mapping[str, Any], field: str) -> None:
    """Raise `InvalidInput` for an argument that a step does not take."""
    for name in given:
        if name not in node.args:
            known = ", ".join(node.args) or "none"
            raise InvalidInput(
                f"{field}: step {node.name!r} has no argument {name!r}{closest(name, node.args)}: it has {known}",
                field=field,
                value=name,
            )
