"""Runs as lines: one, a page of them, how many there are.

Rule: the filters combine, so this is SQLAlchemy Core; everything else that reads is a named statement.
"""

from __future__ import annotations

import uuid
from typing import Any, Final, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from kronos.core.costs import Spent
from kronos.core.events import Failure
from kronos.core.state import Phase
from kronos.errors import InvalidInput
from kronos.kernel.ids import DefinitionId, RunId, parse_run_id
from kronos.ports.history import RunFilter, RunPage, RunSummary, unknown_run
from kronos.storage.database import Connections

__all__ = ["PAGE_MAX", "Listing"]

PAGE_MAX: Final = 1_000

_runs = sa.Table(
    "runs",
    sa.MetaData(schema="kronos"),
    *(sa.Column(name) for name in ("definition", "workflow", "version", "input", "output", "failure", "failed_step")),
    *(sa.Column(name) for name in ("head_seq", "owner", "takeovers", "parent_seq", "spent")),
    *(
        sa.Column(name, sa.DateTime(timezone=True))
        for name in ("created_at", "started_at", "finished_at", "expired_at")
    ),
    sa.Column("id", sa.Uuid),
    *(sa.Column(name, sa.Uuid) for name in ("parent_run", "child_of", "continues", "continued_by")),
    sa.Column("child_step", sa.Text),
    sa.Column("phase", sa.Text),
    sa.Column("attributes", postgresql.JSONB),
)


def _ns(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    return sa.literal_column(f"(extract(epoch FROM kronos.runs.{column.name}) * 1e9)::bigint").label(column.name)


_LINE: Final = sa.select(
    _runs.c.id,
    _runs.c.workflow,
    _runs.c.version,
    _runs.c.definition,
    _runs.c.phase,
    _ns(_runs.c.created_at),
    _ns(_runs.c.started_at),
    _ns(_runs.c.finished_at),
    sa.literal_column(
        "greatest(kronos.runs.head_seq, coalesce((SELECT max(e.seq) FROM kronos.events e"
        " WHERE e.retention_class = kronos.runs.retention_class AND e.run_id = kronos.runs.id), 0))"
    ).label("head_seq"),
    _runs.c.owner,
    _runs.c.takeovers,
    _runs.c.input,
    _runs.c.output,
    _runs.c.failure,
    _runs.c.failed_step,
    _runs.c.parent_run,
    _runs.c.parent_seq,
    _runs.c.attributes,
    _runs.c.spent,
    _runs.c.child_of,
    _runs.c.child_step,
    _runs.c.continues,
    _runs.c.continued_by,
    _ns(_runs.c.expired_at),
)


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
        query = _LINE.where(*_conditions(chosen)).order_by(_runs.c.id.desc()).limit(chosen.limit + 1)
        if chosen.before is not None:
            query = query.where(_runs.c.id < uuid.UUID(chosen.before))
        found = self._lines(query)
        more = len(found) > chosen.limit
        page = found[: chosen.limit]
        return RunPage(runs=page, next_before=page[-1].id if more else None)

    def count(self, chosen: RunFilter) -> int:
        """Return how many runs there are, whatever `before` and `limit` say."""
        query = sa.select(sa.func.count()).select_from(_runs).where(*_conditions(chosen))
        (row,) = self._rows(query)
        return cast("int", row[0])

    def _lines(self, query: sa.Select[Any]) -> list[RunSummary]:
        return [_summary(row) for row in self._rows(query)]

    def _rows(self, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
        compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        with self._session.connection() as connection:
            return cast("list[tuple[Any, ...]]", connection.execute(str(compiled), compiled.params).fetchall())


_DIALECT: Final = postgresql.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
_ONE: Final = str(_LINE.where(_runs.c.id == sa.bindparam("run")).compile(dialect=_DIALECT))
"""Compiled once: every waiter asks for it, and compiling costs more than the answer."""


def _conditions(chosen: RunFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if chosen.phases:
        # literals of the column's own type: neither a cast column nor a parameter finds the partial index
        found.append(_runs.c.phase.in_([sa.literal_column(f"'{Phase(phase).value}'") for phase in chosen.phases]))
    if chosen.workflow is not None:
        found.append(_runs.c.workflow == chosen.workflow)
    if chosen.is_forked is not None:
        fork = _runs.alias("fork")
        has_fork = sa.exists().where(fork.c.parent_run == _runs.c.id)
        found.append(has_fork if chosen.is_forked else ~has_fork)
    for name, text in chosen.where.items():
        meant = [msgspec.json.encode({name: value}).decode() for value in _values_of(text)]
        found.append(sa.or_(*(_runs.c.attributes.op("@>")(sa.cast(each, postgresql.JSONB)) for each in meant)))
    return found


def _values_of(text: str) -> list[str | int | float | bool]:
    """Return what an attribute's value may be when it is written as `text`."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return [text]
    return [text, value] if isinstance(value, bool | int | float) else [text]


def _run_id(value: uuid.UUID | None) -> RunId | None:
    return None if value is None else RunId(str(value))


def _summary(row: tuple[Any, ...]) -> RunSummary:
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
        failure=None if row[13] is None else msgspec.json.decode(row[13], type=Failure),
        failed_step=row[14],
        parent=None if row[15] is None else RunId(str(row[15])),
        parent_seq=row[16] or 0,
        attributes=row[17] or {},
        spent=None if row[18] is None else msgspec.json.decode(row[18], type=Spent),
        child_of=_run_id(row[19]),
        child_step=row[20],
        continues=_run_id(row[21]),
        continued_by=_run_id(row[22]),
        expired_at=row[23],
    )
