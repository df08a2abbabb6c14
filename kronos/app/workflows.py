"""`app.workflows`: which versions there are, whose runs are open, who serves them; and moving a run to another.

Rule: a run is moved only while nobody owns it and only where its history fits the new graph; a worker that serves the
      new definition then claims it like any other, and puts the move on record first.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import cast

import msgspec

from kronos.core.adoption import check_adoption
from kronos.errors import Conflict, InvalidInput, NotFound
from kronos.kernel.ids import DefinitionId, RunId
from kronos.kernel.schema import check_against
from kronos.ports.history import Definition, RunSummary
from kronos.storage.database import Session
from kronos.storage.history import PostgresHistory
from kronos.storage.statements import statement

__all__ = ["Version", "Workflows"]


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One registered definition: its open runs by phase, and the names of the workers that serve it."""

    id: DefinitionId
    workflow: str
    version: str
    created_at: datetime
    pending: int
    running: int
    waiting: int
    workers: tuple[str, ...]

    @property
    def open(self) -> int:
        """How many of its runs have not ended."""
        return self.pending + self.running + self.waiting


class Workflows:
    """The definitions on record."""

    def __init__(self, session: Session, history: PostgresHistory) -> None:
        self._session = session
        self._history = history

    def versions(self, workflow: str | None = None) -> list[Version]:
        """Return them by workflow, newest first; raise `NotFound` for a workflow that has none."""
        with self._session.connection() as connection:
            rows = connection.execute(statement("list_definitions_in_use"), {"workflow": workflow}).fetchall()
        if not rows and workflow is not None:
            raise NotFound(f"workflow {workflow!r} is not registered", field="workflow_name", value=workflow)
        fields = Version.__struct_fields__
        return [msgspec.convert(dict(zip(fields, row, strict=True)), Version, strict=False) for row in rows]

    def adopt(self, run_id: RunId, to: str, *, by: str = "", reason: str = "") -> Definition:
        """Let a run go on under another version of its workflow: `to` is a version, or the beginning of an id.

        Raises `NotFound`, and `Conflict` saying why the run cannot be moved, or not now.
        """
        run = self._history.run(run_id)
        owner, claims = self._claims(run_id)
        if run.phase.is_final:
            raise Conflict(f"run {run_id} is {run.phase}: only an open run can be adopted", run_id=run_id)
        new = self._definition(run, to)
        self._check(run, new)
        if owner is not None:
            raise Conflict(
                f"run {run_id} is in the hands of a worker (incarnation {owner}): pause it or stop that worker, "
                "then adopt it",
                run_id=run_id,
                owner=owner,
            )
        wish = {"definition": new.id, "version": new.version, "by": by, "reason": reason}
        at = {"run": run_id, "claims": claims, "old": run.definition, "new": new.id}
        at |= {"command": uuid.uuid4(), "body": msgspec.json.encode(wish)}
        with self._session.transaction() as connection:
            moved = connection.execute(statement("adopt_run"), at).fetchone()
            connection.execute("NOTIFY kronos_work")
        if moved is None:
            raise Conflict(f"run {run_id} was claimed just now: try again", run_id=run_id)
        return new

    def _check(self, run: RunSummary, new: Definition) -> None:
        if new.id == run.definition:
            raise Conflict(f"run {run.id} is of version {new.version!r} already", run_id=run.id)
        check_adoption(self._history.state_at(run.id).steps, self._history.definition(run.definition).graph, new.graph)
        try:
            check_against(new.input_schema, self._history.payload(run.input))
        except InvalidInput as error:
            raise Conflict(
                f"the run cannot be adopted: its input does not fit the new version: {error.message}", run_id=run.id
            ) from None

    def _claims(self, run_id: RunId) -> tuple[int | None, int]:
        with self._session.connection() as connection:
            row = connection.execute(statement("read_claims"), {"run": run_id}).fetchone()
        return cast("tuple[int | None, int]", row)

    def _definition(self, run: RunSummary, to: str) -> Definition:
        found = self._history.definitions(run.workflow)
        for each in found:
            if each.version == to or (len(to) >= 8 and each.id.startswith(to)):
                return each.sound
        known = ", ".join(dict.fromkeys(each.version for each in found))
        raise NotFound(f"workflow {run.workflow!r} has no version {to!r}; known: {known}", field="to", value=to)
