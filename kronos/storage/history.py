"""The reading side of the run log.

Listing uses SQLAlchemy Core, because its filters combine; everything else is a named statement.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from kronos.core.chaining import head_after_body
from kronos.core.costs import Spent
from kronos.core.events import Event, Failure, encode_facts, truncate
from kronos.core.forking import decode_fork
from kronos.core.graph import decode_graph
from kronos.core.state import Phase, Run, apply
from kronos.errors import InvalidInput, NotFound
from kronos.kernel.hashing import GENESIS
from kronos.kernel.ids import BlobHash, DefinitionId, RunId
from kronos.ports.blobs import Blobs
from kronos.ports.history import Definition, RunFilter, RunPage, RunSummary
from kronos.ports.lineage import Scope
from kronos.storage.archives import EventPages
from kronos.storage.database import Connections
from kronos.storage.folds import EVERY, Folds
from kronos.storage.statements import statement
from kronos.storage.stored import StoredEvent, corrupt

__all__ = ["PostgresHistory"]

PAGE_MAX: Final = 1_000
CHUNK: Final = 5_000
FACTS_MAX: Final = 6
"""More seqs than one row takes: the row before that of any seq begins at most so far below it."""

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


class PostgresHistory:
    """`ports.History`."""

    def __init__(self, session: Connections, blobs: Blobs) -> None:
        self._session = session
        self._blobs = blobs
        self._folds = Folds()
        self._pages = EventPages(session)
        self._definitions: dict[DefinitionId, Definition] = {}

    def run(self, run_id: RunId) -> RunSummary:
        """Return one run's line; raise `NotFound`."""
        found = self._lines(_LINE.where(_runs.c.id == uuid.UUID(run_id)))
        if not found:
            raise NotFound(f"no run {run_id}: `kronos runs list` shows those on record", run_id=run_id)
        return found[0]

    def phase(self, run_id: RunId) -> Phase:
        """Return where a run stands; raise `NotFound`.  A tenth of the price of `run`."""
        with self._session.connection() as connection:
            row = connection.execute(statement("read_phase"), {"run": run_id}).fetchone()
        if row is None:
            raise NotFound(f"no run {run_id}: `kronos runs list` shows those on record", run_id=run_id)
        return Phase(cast("str", row[0]))

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

    def events(self, run_id: RunId, *, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        """Return stored events with `seq` > `after`, in order, at most `limit`; raise `NotFound`."""
        found = [row.event for row in self._pages.page(run_id, after, limit)]
        if not found and after == 0:
            self.run(run_id)
        return found

    def state_at(self, run_id: RunId, seq: int | None = None) -> Run:
        """Return the run as of `seq` (None: now)."""
        if seq is not None and seq < 0:
            raise InvalidInput(f"seq {seq} is negative", field="seq", value=seq)
        run = self._fold(run_id, seq)
        if run.seq == 0 and self.run(run_id).expired_at is not None:
            raise NotFound(f"the history of run {run_id} has expired: its result is all that is left", run_id=run_id)
        if seq is not None and run.seq < seq:
            raise InvalidInput(f"seq {seq} is beyond the last event, {run.seq}", field="seq", value=seq)
        return run

    def _fold(self, run_id: RunId, upto: int | None) -> Run:
        """Return the fold up to a seq, which may lie inside an event; from the nearest fold that is kept."""
        run = self._folds.before(run_id, upto)
        kept = run.seq
        for event, _, _ in self._all(run_id, after=run.seq, upto=upto):
            if upto is not None and event.seq > upto:
                return apply(run, truncate(event, upto)) if event.first_seq <= upto else run
            run = apply(run, event)
            if run.seq - kept >= EVERY:
                self._folds.keep(run)
                kept = run.seq
        self._folds.keep(run)
        return run

    def scopes(self, run_id: RunId) -> list[Scope]:
        """Return under what each part of a run's history was recorded, oldest first: of a fork, several."""
        with self._session.connection() as connection:
            rows = cast(
                "list[tuple[Any, ...]]", connection.execute(statement("read_scopes"), {"run": run_id}).fetchall()
            )
        if not rows:
            self.run(run_id)
        return [
            Scope(
                run_id=RunId(str(run)),
                after_seq=after,
                definition=DefinitionId(definition),
                input=run_input,
                fork=None if changes is None else decode_fork(changes),
            )
            for run, after, definition, run_input, changes in rows
        ]

    def head_at(self, run_id: RunId, seq: int) -> bytes:
        """Return the head of a run's chain after the fact at `seq`; raise `InvalidInput` beyond the last event."""
        head = GENESIS
        for stored in self._pages.page(run_id, max(0, seq - FACTS_MAX), FACTS_MAX + 1):
            if stored.event.seq == seq:
                return stored.hash
            if stored.event.seq > seq:
                cut = truncate(stored.event, seq)
                return head_after_body(head, cut, encode_facts(cut.facts))
            head = stored.hash
        raise InvalidInput(f"run {run_id} has no event at seq {seq}", field="seq", value=seq)

    def progress(self, run_id: RunId) -> list[tuple[str, int, int, bytes]]:
        """Return how far attempts say they are: step, attempt, when (ns), JSON; raise `NotFound`."""
        with self._session.connection() as connection:
            rows = connection.execute(statement("read_progress"), {"run": run_id}).fetchall()
        if not rows:
            self.run(run_id)
        return cast("list[tuple[str, int, int, bytes]]", rows)

    def payload(self, value: msgspec.Raw | bytes) -> bytes:
        """Return a recorded value's canonical bytes, fetched from its blob where it is a reference."""
        data = bytes(value)
        if not data.startswith(b'{"$blob":'):
            return data
        return self._blobs.get(BlobHash(msgspec.json.decode(data)["$blob"]))

    def definition(self, definition_id: DefinitionId) -> Definition:
        """Return a registered definition; raise `NotFound`."""
        found = self._definitions.get(definition_id)
        if found is None:
            rows = self._find(definition_id, None)
            if not rows:
                raise NotFound(f"no definition {definition_id}", definition=definition_id)
            found = self._definitions[definition_id] = rows[0]
        return found

    def definitions(self, workflow: str | None = None) -> list[Definition]:
        """Return the registered definitions, newest first."""
        return self._find(None, workflow)

    def verify(self, run_id: RunId) -> int:
        """Recompute the chained hashes of a run and return its last seq; raise `CorruptHistory` at the first fault."""
        noted_seq, noted_hash, is_over = self._noted(run_id)
        head, last = GENESIS, 0
        for event, body, stored in self._all(run_id):
            if event.first_seq != last + 1:
                raise corrupt(run_id, event.seq, f"seq {last} is followed by {event.first_seq}")
            head = head_after_body(head, event, body)
            if head != stored:
                raise corrupt(run_id, event.seq, f"the event at seq {event.seq} does not match its hash")
            if event.seq == noted_seq and head != noted_hash:
                raise corrupt(run_id, event.seq, f"the history up to seq {event.seq} is not the one that was recorded")
            if is_over and event.seq > noted_seq:
                raise corrupt(run_id, event.seq, f"the event at seq {event.seq} was added after the end")
            last = event.seq
        if last < noted_seq:
            raise corrupt(run_id, last, f"events {last + 1} to {noted_seq} are missing")
        return last

    def _noted(self, run_id: RunId) -> tuple[int, bytes | None, bool]:
        with self._session.connection() as connection:
            row = connection.execute(statement("read_head"), {"run": run_id}).fetchone()
        if row is None:
            self.run(run_id)
        return cast("tuple[int, bytes | None, bool]", row)

    def _all(self, run_id: RunId, *, after: int = 0, upto: int | None = None) -> Iterator[StoredEvent]:
        while upto is None or after < upto:
            page = self._pages.page(run_id, after, CHUNK, upto=upto)
            yield from page
            if len(page) < CHUNK:
                return
            after = page[-1].event.seq

    def _lines(self, query: sa.Select[Any]) -> list[RunSummary]:
        return [_summary(row) for row in self._rows(query)]

    def _rows(self, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
        compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        with self._session.connection() as connection:
            return cast("list[tuple[Any, ...]]", connection.execute(str(compiled), compiled.params).fetchall())

    def _find(self, definition_id: str | None, workflow: str | None) -> list[Definition]:
        at = {"id": definition_id, "workflow": workflow}
        with self._session.connection() as connection:
            rows = cast("list[tuple[Any, ...]]", connection.execute(statement("find_definitions"), at).fetchall())
        return [
            Definition(
                id=DefinitionId(row[0]),
                workflow=row[1],
                version=row[2],
                graph=decode_graph(row[3]),
                input_schema=row[4],
                codes=msgspec.json.decode(row[5], type=dict[str, str]),
                sources=msgspec.json.decode(row[6], type=dict[str, tuple[str, str]]),
                environment=msgspec.json.decode(row[7], type=dict[str, str]),
                created_at_ns=row[8],
            )
            for row in rows
        ]


_DIALECT: Final = postgresql.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


def _conditions(chosen: RunFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if chosen.phases:
        found.append(sa.cast(_runs.c.phase, sa.Text).in_([phase.value for phase in chosen.phases]))
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
