"""`client.forks`: going back to a moment of a run, and running on from there otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kronos._proto.v1 import service_pb2 as pb
from kronos.kernel import canonical

__all__ = ["FamilyRecord", "ForksClient", "KinRecord"]


class KinRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a family; `parent_seq` is the last seq that it shares with `parent`, `changed` is in words."""

    run_id: str
    parent: str | None
    parent_seq: int
    workflow: str
    version: str
    phase: str
    created_at_ns: int
    changed: list[str]


class FamilyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run, those it comes from, and those that come from it, each oldest first."""

    run: KinRecord
    ancestors: list[KinRecord]
    descendants: list[KinRecord]
    is_cut: bool


class ForksClient:
    """Reached as `client.forks`."""

    def __init__(self, call: Callable[..., Any], stub: Any) -> None:
        self._call = call
        self._stub = stub

    def fork(
        self,
        run_id: str,
        *,
        at: str = "",
        at_seq: int | None = None,
        input: object = msgspec.UNSET,  # noqa: A002 - the word that users know
        inputs: Mapping[str, Mapping[str, object]] | None = None,
        outputs: Mapping[str, object] | None = None,
        version: str = "",
        allow_external: bool = False,
    ) -> str:
        """Fork a run before the step `at` began, or after the fact at `at_seq`; return the new run's id.

        Raises `NotFound`, `InvalidInput` naming the field, and `Conflict` for a position that cannot be gone back to.
        """
        return self.fork_json(
            run_id,
            at=at,
            at_seq=at_seq,
            run_input="" if input is msgspec.UNSET else _json(input),
            inputs={step: _json(value) for step, value in (inputs or {}).items()},
            outputs={step: _json(value) for step, value in (outputs or {}).items()},
            version=version,
            allow_external=allow_external,
        )

    def fork_json(
        self,
        run_id: str,
        *,
        at: str = "",
        at_seq: int | None = None,
        run_input: str = "",
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, str] | None = None,
        version: str = "",
        allow_external: bool = False,
    ) -> str:
        """`fork` with values that are JSON texts already; "" is what is not given."""
        request = pb.ForkRunRequest(
            run_id=run_id,
            at=at,
            at_seq=at_seq,
            input=run_input,
            set_inputs=inputs,
            set_outputs=outputs,
            version=version,
            allow_external=allow_external,
        )
        return str(self._call(self._stub.ForkRun, request, pb.ForkRunResponse).run_id)

    def retry(self, run_id: str, *, allow_external: bool = False) -> str:
        """Run again what failed, in a fork that keeps all that completed; raise `Conflict` where nothing failed."""
        request = pb.RetryRunRequest(run_id=run_id, allow_external=allow_external)
        return str(self._call(self._stub.RetryRun, request, pb.ForkRunResponse).run_id)

    def lineage(self, run_id: str) -> FamilyRecord:
        """Return the runs that a run comes from, and those that come from it."""
        family = self._call(self._stub.GetLineage, pb.GetLineageRequest(run_id=run_id), pb.Lineage)
        return FamilyRecord(
            run=_kin(family.run),
            ancestors=[_kin(each) for each in family.ancestors],
            descendants=[_kin(each) for each in family.descendants],
            is_cut=family.is_cut,
        )


def _json(value: object) -> str:
    return canonical.encode(value).decode()


def _kin(kin: pb.Kin) -> KinRecord:
    return KinRecord(
        run_id=kin.run_id,
        parent=kin.parent or None,
        parent_seq=kin.parent_seq,
        workflow=kin.workflow_name,
        version=kin.version,
        phase=kin.phase,
        created_at_ns=kin.created_at_ns,
        changed=list(kin.changed),
    )
