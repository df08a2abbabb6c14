"""The reading side of the run log: events, folds, definitions, and whether a history is what was recorded.

Rule: each read is a named statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec

from kronos.core.chaining import head_after_body
from kronos.core.events import Event, encode_facts, truncate
from kronos.core.forking import decode_fork
from kronos.core.graph import decode_graph
from kronos.core.state import Run, apply
from kronos.errors import InvalidInput, NotFound
from kronos.kernel.hashing import GENESIS
from kronos.kernel.ids import DefinitionId, RunId, parse_run_id
from kronos.kernel.references import blob_of
from kronos.kernel.unreadable import DAMAGE
from kronos.ports.blobs import Blobs
from kronos.ports.history import DamagedDefinition, Definition
from kronos.ports.lineage import Scope
from kronos.storage.archives import EventPages
from kronos.storage.database import Connections
from kronos.storage.folds import EVERY, Folds
from kronos.storage.listing import PAGE_MAX, Listing
from kronos.storage.statements import statement
from kronos.storage.stored import StoredEvent, corrupt

__all__ = ["PostgresHistory"]

CHUNK: Final = 5_000
SEQ_MAX: Final = 2**63 - 1
FACTS_MAX: Final = 6
"""More seqs than one row takes: the row before that of any seq begins at most so far below it."""


class PostgresHistory(Listing):
    """`ports.History`."""

    def __init__(self, session: Connections, blobs: Blobs) -> None:
        super().__init__(session)
        self._blobs = blobs
        self._folds = Folds()
        self._pages = EventPages(session)
        self._definitions: dict[DefinitionId, Definition] = {}

    def events(self, run_id: RunId, *, after: int = 0, limit: int = PAGE_MAX) -> list[Event]:
        """Return stored events with `seq` > `after`, in order, at most `limit`; raise `NotFound`."""
        run_id = parse_run_id(run_id)
        found = [row.event for row in self._pages.page(run_id, after, limit)]
        if not found and after == 0:
            self.run(run_id)
        return found

    def state_at(self, run_id: RunId, seq: int | None = None) -> Run:
        """Return the run as of `seq` (None: now)."""
        run_id = parse_run_id(run_id)
        if seq is not None and seq < 0:
            raise InvalidInput(f"seq {seq} is negative", field="seq", value=seq)
        if seq is not None and seq > SEQ_MAX:
            raise InvalidInput(f"seq {seq} is beyond any event", field="seq", value=seq)
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
        run_id = parse_run_id(run_id)
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
        run_id = parse_run_id(run_id)
        with self._session.connection() as connection:
            rows = connection.execute(statement("read_progress"), {"run": run_id}).fetchall()
        if not rows:
            self.run(run_id)
        return cast("list[tuple[str, int, int, bytes]]", rows)

    def payload(self, value: msgspec.Raw | bytes) -> bytes:
        """Return a recorded value's canonical bytes, fetched from its blob where it is a reference."""
        data = bytes(value)
        blob = blob_of(data)
        return data if blob is None else self._blobs.get(blob)

    def definition(self, definition_id: DefinitionId) -> Definition:
        """Return a registered definition; raise `NotFound`, and `CorruptHistory` where it cannot be read."""
        found = self._definitions.get(definition_id)
        if found is None:
            rows = self._find(definition_id, None)
            if not rows:
                raise NotFound(f"no definition {definition_id}", definition=definition_id)
            found = self._definitions[definition_id] = rows[0].sound
        return found

    def definitions(self, workflow: str | None = None) -> list[Definition | DamagedDefinition]:
        """Return the registered definitions, newest first, those that cannot be read as what they are."""
        return self._find(None, workflow)

    def verify(self, run_id: RunId) -> int:
        """Recompute the chained hashes of a run and return its last seq; raise `CorruptHistory` at the first fault."""
        run_id = parse_run_id(run_id)
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

    def _find(self, definition_id: str | None, workflow: str | None) -> list[Definition | DamagedDefinition]:
        at = {"id": definition_id, "workflow": workflow}
        with self._session.connection() as connection:
            rows = cast("list[tuple[Any, ...]]", connection.execute(statement("find_definitions"), at).fetchall())
        return [_definition(row) for row in rows]


def _definition(row: tuple[Any, ...]) -> Definition | DamagedDefinition:
    try:
        return Definition(
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
    except DAMAGE as error:
        return DamagedDefinition(id=DefinitionId(row[0]), workflow=row[1], version=row[2], why=str(error))
