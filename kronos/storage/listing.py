"""Runs as lines: one, a page of them, how many there are.

Rule: where filters combine, the question is made by SQLAlchemy Core (`listing_queries`); everything else that reads is
      a named statement.
"""

from __future__ import annotations

import uuid
from typing import Any, Final, cast

import msgspec

from kronos.core.costs import Spent
from kronos.core.events import Failure
from kronos.core.state import Phase
from kronos.errors import InvalidInput
from kronos.kernel.ids import DefinitionId, RunId, parse_run_id
from kronos.kernel.texts import check_text
from kronos.kernel.unreadable import DAMAGE
from kronos.ports.history import RunFilter, RunPage, RunSummary, unknown_run
from kronos.storage.database import Connections
from kronos.storage.failures import failure_in, unreadable

__all__ = ["PAGE_MAX", "Listing"]

PAGE_MAX: Final = 1_000


def _ns(name: str) -> str:
    return f"(extract(epoch FROM kronos.runs.{name}) * 1e9)::bigint"


def _of(*names: str) -> list[str]:
    return [f"kronos.runs.{name}" for name in names]


_HEAD: Final = (
    "greatest(kronos.runs.head_seq, coalesce((SELECT max(e.seq) FROM kronos.events e"
    " WHERE e.retention_class = kronos.runs.retention_class AND e.run_id = kronos.runs.id), 0))"
)
_COLUMNS: Final = (
    *_of("id", "workflow", "version", "definition", "phase"),
    *map(_ns, ("created_at", "started_at", "finished_at")),
    _HEAD,
    *_of("owner", "takeovers", "input", "output", "failure", "failed_step", "parent_run", "parent_seq"),
    *_of("attributes", "spent", "child_of", "child_step", "continues", "continued_by"),
    _ns("expired_at"),
)
"""Of a line, in the order of `_summary`."""

_ONE: Final = f"SELECT {', '.join(_COLUMNS)} FROM kronos.runs WHERE kronos.runs.id = %(run)s"  # noqa: S608 - of the names above


class Listing:
    """The rows of `kronos.runs`, as `RunSummary`."""

    def __init__(self, session: Connections) -> None:
        self._session = session

    def run(self, run_id: RunId) -> RunSummary:
        """Return one run's line; raise `NotFound`."""
        at = {"run": uuid.UUID(parse_run_id(run_id))}
        with self._session.connection() as connection:
            row = connection.execute(_ONE, at).fetchone()
        if row is None:
            raise unknown_run(run_id)
        return _summary(row)

    def runs(self, chosen: RunFilter) -> RunPage:
        """Return a page of runs, newest first."""
        if not 1 <= chosen.limit <= PAGE_MAX:
            raise InvalidInput(f"limit {chosen.limit} is outside 1..{PAGE_MAX}", field="limit", value=chosen.limit)
        _check_texts(chosen)
        from kronos.storage.listing_queries import page

        found = [_summary(row) for row in self._rows(page(_COLUMNS, chosen))]
        more = len(found) > chosen.limit
        lines = found[: chosen.limit]
        return RunPage(runs=lines, next_before=lines[-1].id if more else None)

    def count(self, chosen: RunFilter) -> int:
        """Return how many runs there are, whatever `before` and `limit` say."""
        _check_texts(chosen)
        from kronos.storage.listing_queries import count

        (row,) = self._rows(count(chosen))
        return cast("int", row[0])

    def _rows(self, asked: tuple[str, dict[str, Any]]) -> list[tuple[Any, ...]]:
        with self._session.connection() as connection:
            return cast("list[tuple[Any, ...]]", connection.execute(*asked).fetchall())


def _check_texts(chosen: RunFilter) -> None:
    """Raise `InvalidInput` for a text that no row can have: the database takes none of these as a question."""
    if chosen.workflow is not None:
        check_text(chosen.workflow, "workflow")
    for name, value in chosen.where.items():
        check_text(name, "where")
        check_text(value, "where")


def _run_id(value: uuid.UUID | None) -> RunId | None:
    return None if value is None else RunId(str(value))


def _spent(data: Any) -> tuple[Spent | None, Failure | None]:
    """Return what a run has used up; where that cannot be read, the failure that says so."""
    if data is None:
        return None, None
    try:
        return msgspec.json.decode(data, type=Spent), None
    except DAMAGE as error:
        return None, unreadable("costs", error)


def _summary(row: tuple[Any, ...]) -> RunSummary:
    spent, trouble = _spent(row[18])
    return RunSummary(
        id=RunId(str(row[0])),
        workflow=row[1],
        version=row[2],
        definition=DefinitionId(row[3]),
        phase=Phase(row[4]),
        created_at=row[5],
        started_at=row[6],
        finished_at=row[7],
        head_seq=row[8],
        owner=row[9],
        takeovers=row[10],
        input=row[11],
        output=row[12],
        failure=failure_in(row[13]) or trouble,
        failed_step=row[14],
        parent=None if row[15] is None else RunId(str(row[15])),
        parent_seq=row[16] or 0,
        attributes=row[17] or {},
        spent=spent,
        child_of=_run_id(row[19]),
        child_step=row[20],
        continues=_run_id(row[21]),
        continued_by=_run_id(row[22]),
        expired_at=row[23],
    )
