"""What a fork stands on while it is advanced: what was replaced, and what need not be executed again.

Rule 1: an outcome is taken over only where target, code, bound input and environment are the same (content hashes), of
        a step that is `pure` or `read`; it is recorded like any other, with where it comes from.
Rule 2: what touches the world outside is executed only by a fork that was allowed to.
Rule 3: everything is in memory before the run is handed to its owner: the loop never waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from kronos.core.definition import StepDefinition
from kronos.core.elements import output_type
from kronos.core.events import Failure, Origin, StepFacts
from kronos.core.forking import REUSABLE, Fork, decode_fork, downstream
from kronos.core.graph import Graph, Node, node_name
from kronos.engine.serving import Served
from kronos.errors import InvalidInput
from kronos.kernel import canonical
from kronos.ports.queue import PastOutcome

__all__ = ["Ground", "Reusable", "check_given", "check_output"]

REUSED_BYTES_MAX: Final = 256 * 1024 * 1024
"""Outputs that are kept at hand for reuse; what does not fit is executed again."""

Key: TypeAlias = tuple[str, str, str]


class Reusable(NamedTuple):
    """An outcome of another run, and its output's canonical bytes."""

    facts: StepFacts
    output: bytes


class Ground:
    """One fork's ground, made by the intake when it claims the run."""

    def __init__(self, served: Served, changes: bytes) -> None:
        self.fork: Final[Fork] = decode_fork(changes)
        self._served: Final = served
        self._past: dict[Key, Reusable] = {}
        self._again: Final = _again(served, self.fork)

    def add(self, outcomes: Sequence[PastOutcome], payload: Callable[[bytes], bytes]) -> None:
        """Keep those of `outcomes`, oldest first, that may be reused; `payload` fetches an output that is a blob."""
        here, size = self._served.definition.environment, 0
        for past in outcomes:
            facts = past.facts
            target = past.targets.get(node_name(past.step))
            if target is None or facts.input is None or facts.code is None or past.environment != here:
                continue
            if facts.replaced or facts.output is msgspec.UNSET or size > REUSED_BYTES_MAX:
                continue
            output = payload(bytes(facts.output))
            size += len(output)
            origin = facts.reused_from or Origin(run=past.run, step=past.step, attempt=past.attempt, seq=past.seq)
            self._past[target, facts.code, facts.input] = Reusable(
                msgspec.structs.replace(facts, reused_from=origin), output
            )

    def replaced_output(self, step: str) -> bytes | None:
        """Return the output that stands for executing `step`; raise `InvalidInput` where its type is wrong."""
        given = self.fork.outputs.get(step)
        if given is None:
            return None
        code = self._served.workflow.steps.get(node_name(step))
        if code is not None:
            check_output(self._served.graph, step, given, code)
        return bytes(given)

    def outcome(self, step: str, node: Node, digest: str) -> Reusable | None:
        """Return what another run made of the same code and input, None where it is to be executed."""
        if not self._past or step in self._again or node.name in self._again or node.options.effect not in REUSABLE:
            return None
        code = self._served.definition.codes.get(node.name)
        return None if code is None else self._past.get((node.target, code, digest))

    def refusal(self, step: str, node: Node) -> Failure | None:
        """Return why a step may not be executed here, None where it may."""
        if node.options.effect in REUSABLE or self.fork.allow_external:
            return None
        return Failure(
            type="PermissionDenied",
            message=f"step {step!r} is {node.options.effect}: a fork acts on the world outside only where it is told "
            "to. Fork with allow_external=True (--allow-external), or give it an output (--set-output "
            f"{step}=JSON)",
            retryable=False,
        )


def _again(served: Served, fork: Fork) -> frozenset[str]:
    """Return the steps that are executed again whatever they are given."""
    if fork.at is None:
        return frozenset()
    if fork.reuse != "beside":
        return frozenset({fork.at})
    return downstream(served.graph, fork.at) - {node_name(fork.at)} | {fork.at}


def check_output(graph: Graph, step: str, data: bytes | msgspec.Raw, code: StepDefinition[Any, Any]) -> None:
    """Raise `InvalidInput` naming the path where a given output is not of the step's type: of a map, a list of it."""
    try:
        canonical.decode(data, output_type(graph, step, code.signature.returns))
    except InvalidInput as error:
        raise InvalidInput(
            f"the output given for step {step!r} is not of its type: {error.message}: got {bytes(data)[:60]!r}",
            field=f"outputs.{step}",
            value=bytes(data)[:60].decode(errors="replace"),
            step=step,
        ) from None


def check_given(step: str, given: Mapping[str, msgspec.Raw], code: StepDefinition[Any, Any]) -> None:
    """Raise `InvalidInput` naming the argument that is not of the type that the step declares for it."""
    types = {parameter.name: parameter.type for parameter in code.signature.parameters}
    for name in given.keys() & types.keys():
        try:
            canonical.decode(given[name], types[name])
        except InvalidInput as error:
            raise InvalidInput(
                f"the argument {name!r} given for step {step!r} is not of its type: {error.message}",
                field=f"inputs.{step}.{name}",
                step=step,
            ) from None
