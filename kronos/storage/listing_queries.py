"""The questions about runs whose filters combine: a page of lines, and how many.

Rule: this alone is SQLAlchemy Core, and it is imported when a listing is asked for: 0.2 s of every process that wants
      one run, or none.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from kronos.core.state import Phase
from kronos.ports.history import RunFilter

__all__ = ["Question", "count", "page"]

Question = tuple[str, dict[str, Any]]
"""A statement and its parameters."""

_runs = sa.Table(
    "runs",
    sa.MetaData(schema="kronos"),
    sa.Column("id", sa.Uuid),
    sa.Column("workflow", sa.Text),
    sa.Column("phase", sa.Text),
    sa.Column("parent_run", sa.Uuid),
    sa.Column("attributes", postgresql.JSONB),
)

_DIALECT: Final = postgresql.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


def page(columns: Sequence[str], chosen: RunFilter) -> Question:
    """Ask for `columns` of one run more than `chosen.limit`, newest first."""
    line: list[Any] = [sa.literal_column(each) for each in columns]
    query = (
        sa.select(*line)
        .select_from(_runs)
        .where(*_conditions(chosen))
        .order_by(_runs.c.id.desc())
        .limit(chosen.limit + 1)
    )
    if chosen.before is not None:
        query = query.where(_runs.c.id < uuid.UUID(chosen.before))
    return _compiled(query)


def count(chosen: RunFilter) -> Question:
    """Ask how many runs there are, whatever `before` and `limit` say."""
    return _compiled(sa.select(sa.func.count()).select_from(_runs).where(*_conditions(chosen)))


def _compiled(query: sa.Select[Any]) -> Question:
    compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    return str(compiled), compiled.params


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
