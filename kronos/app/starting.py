"""Starting runs: of a workflow that is at hand, or of one by its name.

Rule: everything is checked before it is recorded; a run is durable when its id is returned, or when the caller's own
      transaction commits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from kronos.app.registering import Registering, Workflow
from kronos.core.attributes import checked_attributes
from kronos.core.events import Attribute
from kronos.core.options import duration_s
from kronos.errors import InvalidInput
from kronos.kernel import canonical
from kronos.kernel.ids import RunId
from kronos.ports.queue import RunRequest

__all__ = ["Starting"]


class Starting(Registering):
    """The part of `Kronos` that starts runs."""

    _at_hand: Callable[[RunRequest], RunId | None] | None = None
    """Of the worker in this process: starts a run and claims it at once, where it has a hand free."""

    def start(
        self,
        workflow: Workflow | str,
        run_input: object = msgspec.UNSET,
        *,
        version: str | None = None,
        timeout_s: float | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        retention: str | None = None,
        conn: object | None = None,
    ) -> RunId:
        """Start a run and return its id; it is durable when this returns.

        `retention` is the class that says how long it is kept after its end; by default, as its workflow says.
        With `conn`, a psycopg connection, it is part of your own transaction there: it starts when that commits.
        Raises `NotFound` for an unknown workflow, `InvalidInput` whose `facts["field"]` is the path of a wrong value.
        """
        return self.start_json(
            workflow,
            canonical.encode({} if run_input is msgspec.UNSET else run_input),
            version=version,
            timeout_s=timeout_s,
            attributes=attributes,
            retention=retention,
            conn=conn,
        )

    def start_json(
        self,
        workflow: Workflow | str,
        run_input: bytes | str,
        *,
        version: str | None = None,
        timeout_s: float | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        retention: str | None = None,
        conn: object | None = None,
    ) -> RunId:
        """`start` with an input that is JSON text already."""
        data = run_input.encode() if isinstance(run_input, str) else run_input
        definition, checked = self._checked(workflow, data, version)
        if timeout_s is None:
            timeout_s = definition.graph.timeout_s
        if timeout_s is not None:
            timeout_s = duration_s(timeout_s, field="timeout")
        if retention is not None:
            self.upkeep.retention.check(retention)
        named = None if attributes is None else checked_attributes(attributes, removing=False)
        given = msgspec.json.encode(named) if named else None
        request = RunRequest(definition.id, checked, _ms(timeout_s), given, retention)
        run = None if conn is not None or self._at_hand is None else self._at_hand(request)
        return run or self._submission.start(request, conn=conn)

    def start_many(self, workflow: Workflow | str, inputs: Sequence[object]) -> list[RunId]:
        """Start one run of `workflow` for each of `inputs`, in one transaction; return their ids in that order."""
        if isinstance(inputs, str | bytes) or not isinstance(inputs, Sequence):
            raise InvalidInput(f"inputs is a {type(inputs).__name__}: give a list of inputs", field="inputs")
        if not inputs:
            return []
        definition, check = self._meant(workflow, None)
        checked = [check(canonical.encode(each)) for each in inputs]
        return self._submission.start_many(definition.id, checked, timeout_ms=_ms(definition.graph.timeout_s))


def _ms(timeout_s: float | None) -> int | None:
    return None if timeout_s is None else max(1, int(timeout_s * 1000))
