"""The engine's store in Postgres: claims, loads, and the life and death of incarnations.

Rule 1: every transaction that writes for an incarnation takes its fence first and checks in a second statement
        that it is alive; the reaper takes the same fence exclusively before it declares death.
Rule 2: the heartbeat has a table and a connection of its own.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import msgspec
from psycopg import errors as pg

from kronos.core.events import Event, Failure, Kind, StepFacts, decode_facts, read_event
from kronos.core.graph import decode_graph
from kronos.core.jobs import LOSSES_MAX
from kronos.core.options import STEPS_QUEUE
from kronos.errors import LeaseLost, Unavailable
from kronos.kernel.hashing import GENESIS
from kronos.kernel.ids import DefinitionId, IncarnationId, RunId
from kronos.ports.queue import (
    ClaimedRun,
    Command,
    Flush,
    Head,
    LoadedRun,
    PastOutcome,
    Progress,
    RunRequest,
    Takeover,
    Verdict,
)
from kronos.storage.archives import EventPages
from kronos.storage.committing import Committer
from kronos.storage.database import LINK, Connection, Link, Session, committing, take_role
from kronos.storage.fencing import ask_fence, check_fence, fenced
from kronos.storage.flushing import noted
from kronos.storage.low_water import LowWater
from kronos.storage.notices import announce
from kronos.storage.statements import statement
from kronos.storage.submission import started, starting

__all__ = ["PostgresQueue"]

PAGE: Final = 5_000
REAP_LOCK_MS: Final = 250
"""How long a reaper waits for a flush of a silent incarnation before it ends its connections: takeover is to come
within the lease and a second.
"""
_DONE: Final = Kind.STEP_COMPLETED
KILLED: Final = msgspec.json.encode(
    Failure(
        type="WorkerLost",
        message=f"given up: {LOSSES_MAX} workers died with this job in hand",
        cause="lost",
        retryable=False,
    )
)


class PostgresQueue:
    """`ports.Queue` over Postgres.  Thread-safe: each concern has its own connection."""

    def __init__(self, url: str, *, link: Link = LINK) -> None:
        self._intake = Session(url, purpose="intake", link=link)
        self._pages = EventPages(self._intake)
        self._life = Session(url, purpose="heartbeat", link=link)
        self._reaper = Session(url, purpose="reaper", link=link)
        self._link = link
        self._committers: list[Committer] = []
        self._free: list[Committer] = []
        self._choosing = threading.Lock()
        self._low_water = LowWater(link.monotonic)
        self._url = url

    # ── life ──

    def register(self, *, name: str, lease_s: float) -> IncarnationId:
        """Begin an incarnation."""
        at = {"name": name, "host": socket.gethostname(), "pid": os.getpid(), "lease_ms": max(1, int(lease_s * 1000))}
        with self._life.transaction() as connection:
            (number,) = cast("tuple[int]", connection.execute(statement("register_incarnation"), at).fetchone())
        return IncarnationId(number)

    def renew(self, incarnation: IncarnationId) -> None:
        """Renew the lease; raise `LeaseLost` when the incarnation is dead."""
        with self._life.connection() as connection:
            row = connection.execute(statement("renew_heartbeat"), {"incarnation": incarnation}).fetchone()
        if row is None:
            raise LeaseLost(f"incarnation {incarnation} was declared dead: its heartbeat came too late")

    def reap(self) -> int:
        """Declare silent incarnations dead and give back the runs and jobs of all dead ones; return how many."""
        with self._reaper.connection() as connection:
            for (incarnation,) in connection.execute(statement("list_silent")).fetchall():
                self._declare_dead(connection, cast("int", incarnation))
            lost = {"losses_max": LOSSES_MAX, "failure": KILLED}
            released = len(connection.execute(statement("release_lost_jobs"), lost).fetchall())
            return released + len(connection.execute(statement("release_lost")).fetchall())

    def _declare_dead(self, connection: Connection, incarnation: int) -> None:
        at = {"incarnation": incarnation}
        for _ in range(2):
            try:
                with connection.transaction():
                    connection.execute(f"SET LOCAL lock_timeout = {REAP_LOCK_MS}")
                    connection.execute(statement("fence_exclusive"), at)
                    connection.execute(statement("mark_dead"), at)
                    return
            except pg.LockNotAvailable:  # its flush hangs, perhaps behind a dead link: end it, and try once more
                connection.execute("RESET ROLE")
                connection.execute(statement("end_backends"), at)
                take_role(connection)

    def retire(self, incarnation: IncarnationId, why: str) -> None:
        """End an incarnation in order, once no flush of its own is under way."""
        at = {"incarnation": incarnation, "why": why}
        with self._life.connection() as connection:
            try:
                with connection.transaction():
                    connection.execute(statement("fence_exclusive"), at)
                    connection.execute(statement("retire_incarnation"), at)
            except pg.LockNotAvailable:
                raise Unavailable(f"a flush of incarnation {incarnation} is still under way") from None

    # ── runs ──

    def claim(self, incarnation: IncarnationId, definitions: Sequence[DefinitionId], limit: int) -> list[ClaimedRun]:
        """Own up to `limit` runs of `definitions`, oldest rank first."""
        return self._claim(incarnation, definitions, limit, None)[1]

    def start(
        self, incarnation: IncarnationId, request: RunRequest, definitions: Sequence[DefinitionId], limit: int
    ) -> tuple[RunId, list[ClaimedRun]]:
        """Start a run and `claim`, in one transaction; others hear of it where it is not among the claimed."""
        run, claimed = self._claim(incarnation, definitions, limit, request)
        assert run is not None, "it was asked for"
        return run, claimed

    def _claim(
        self, incarnation: IncarnationId, definitions: Sequence[DefinitionId], limit: int, request: RunRequest | None
    ) -> tuple[RunId | None, list[ClaimedRun]]:
        run = None
        with self._low_water.claim(definitions) as low_water:
            at = {
                "incarnation": incarnation,
                "definitions": list(definitions),
                "limit": limit,
                "low_water": low_water,
            }
            with self._intake.connection() as connection, committing(connection), connection.pipeline():
                connection.execute("BEGIN")
                asked = ask_fence(connection, incarnation)  # two round trips instead of five
                begun = None if request is None else connection.execute(*starting(request))
                claiming = connection.execute(statement("claim_runs"), at)
                check_fence(asked, incarnation)
                run = None if begun is None else started(begun)
                claimed = [ClaimedRun(RunId(str(row[0])), *row[1:]) for row in claiming.fetchall()]  # type: ignore[arg-type]
                if run is not None and all(each.id != run for each in claimed):
                    announce(connection, "runs")
        self._low_water.claimed(each.rank for each in claimed)
        return run, sorted(claimed, key=lambda each: (each.rank, each.id))

    def load(self, runs: Sequence[ClaimedRun]) -> dict[RunId, LoadedRun]:
        """Return the stored events of `runs` and each one's head."""
        loaded = {run.id: LoadedRun([], GENESIS) for run in runs}
        classes: dict[int, list[uuid.UUID]] = {}
        for run in runs:
            if run.changes is not None:
                loaded[run.id] = self._load_fork(run.id)
                continue
            classes.setdefault(run.retention_class, []).append(uuid.UUID(run.id))
        with self._intake.connection() as connection:
            for retention_class, ids in classes.items():
                at = {"retention_class": retention_class, "runs": ids}
                for run_id, seq, count, kind, step, attempt, at_ns, body, head in cast(
                    "Iterator[tuple[uuid.UUID, int, int, str, str, int, int, bytes, bytes]]",
                    connection.execute(statement("load_events"), at, binary=True),
                ):
                    event = read_event(seq, count, kind, step, attempt, at_ns, body)
                    before = loaded[RunId(str(run_id))]
                    before.events.append(event)
                    loaded[RunId(str(run_id))] = LoadedRun(before.events, head)
        return loaded

    def _load_fork(self, run_id: RunId) -> LoadedRun:
        """Return what a fork shares, and its own events after it, read a page at a time."""
        events: list[Event] = []
        head, after = GENESIS, 0
        while True:
            page = self._pages.page(run_id, after, PAGE)
            events += [stored.event for stored in page]
            if page:
                head, after = page[-1].hash, page[-1].event.seq
            if len(page) < PAGE:
                return LoadedRun(events, head)

    def past_outcomes(self, run: uuid.UUID, after: int) -> list[PastOutcome]:
        """Return what the steps of any run came to after a seq, oldest first."""
        with self._intake.connection() as connection:
            at = {"run": run, "after": after}
            rows = cast("list[tuple[Any, ...]]", connection.execute(statement("read_outcomes"), at).fetchall())
            known = {name: self._definition(connection, name) for name in {row[5] for row in rows}}
        return [
            PastOutcome(
                str(row[4]), row[1], row[2], row[0], cast("StepFacts", decode_facts(_DONE, row[3])), *known[row[5]]
            )
            for row in rows
        ]

    @staticmethod
    def _definition(connection: Connection, definition: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return the targets of a definition's nodes, and its environment."""
        at = {"id": definition, "workflow": None}
        row = cast("tuple[Any, ...]", connection.execute(statement("find_definitions"), at).fetchone())
        targets = {node.name: node.target for node in decode_graph(row[3]).nodes}
        return targets, msgspec.json.decode(row[7], type=dict[str, str])

    def recall(self, incarnation: IncarnationId, runs: Sequence[RunId]) -> None:
        """Take back the steps of these runs that their former owner had spread out."""
        with self._fenced(incarnation) as connection:
            connection.execute(statement("recall_steps"), {"runs": list(runs), "queue": STEPS_QUEUE})

    def record_takeovers(self, incarnation: IncarnationId, takeovers: Sequence[Takeover]) -> None:
        """Make takeover counts durable before anything is executed again."""
        at = {
            "incarnation": incarnation,
            "runs": [each.run for each in takeovers],
            "takeovers": [each.takeovers for each in takeovers],
            "seqs": [each.seq for each in takeovers],
        }
        with self._fenced(incarnation) as connection:
            connection.execute(statement("record_takeovers"), at)

    def put_aside(self, incarnation: IncarnationId, run: uuid.UUID, for_s: float) -> None:
        """Give a run back, to be claimed again after `for_s`, or when a command comes for it."""
        with self._fenced(incarnation) as connection:
            connection.execute(statement("put_aside"), {"incarnation": incarnation, "run": run, "for_s": for_s})

    def commands(self, incarnation: IncarnationId) -> list[Command]:
        """Return inbox rows of owned runs, oldest first."""
        with self._intake.connection() as connection:
            rows = connection.execute(statement("read_inbox"), {"incarnation": incarnation}).fetchall()
        return [Command(number, RunId(str(run)), kind, body) for number, run, kind, body in rows]  # type: ignore[arg-type]

    def commands_of(self, incarnation: IncarnationId, runs: Sequence[RunId]) -> list[Command]:
        """Return every inbox row of these owned runs, oldest first."""
        at = {"incarnation": incarnation, "runs": [uuid.UUID(run) for run in runs]}
        with self._intake.connection() as connection:
            rows = connection.execute(statement("read_inbox_of"), at).fetchall()
        return [Command(number, RunId(str(run)), kind, body) for number, run, kind, body in rows]  # type: ignore[arg-type]

    def show_progress(self, shown: Sequence[Progress]) -> None:
        """Show how far attempts are; not recorded."""
        at = {
            "runs": [each.run for each in shown],
            "steps": [each.step for each in shown],
            "attempts": [each.attempt for each in shown],
            "ats": [each.at_ns for each in shown],
            "progresses": [each.progress for each in shown],
        }
        with self._intake.connection() as connection:
            connection.execute(statement("record_progress"), at)

    def forget_progress(self, attempts: Sequence[tuple[uuid.UUID, str, int]]) -> None:
        """Show no more of attempts that have ended."""
        runs, steps, numbers = [run for run, _, _ in attempts], [s for _, s, _ in attempts], [n for _, _, n in attempts]
        with self._intake.connection() as connection:
            connection.execute(statement("forget_progress"), {"runs": runs, "steps": steps, "attempts": numbers})

    def release(self, incarnation: IncarnationId, heads: Sequence[Head]) -> None:
        """Give runs back in order, and note where their histories stand."""
        with self._fenced(incarnation) as connection:
            connection.execute(statement("note_heads"), noted(incarnation, heads))
            runs = [head.run for head in heads]
            connection.execute(statement("release_runs"), {"incarnation": incarnation, "runs": runs})

    def disown(self, incarnation: IncarnationId, kept: Sequence[uuid.UUID]) -> None:
        """Give back every run of the incarnation but `kept`."""
        with self._fenced(incarnation) as connection:
            connection.execute(statement("disown_runs"), {"incarnation": incarnation, "kept": list(kept)})

    def flush(self, incarnation: IncarnationId, flush: Flush) -> Verdict:
        """Commit `flush` exactly once, on a connection that no other flush uses."""
        committer = self._idle_committer()
        try:
            return committer.commit(incarnation, flush)
        finally:
            self._free.append(committer)

    def _idle_committer(self) -> Committer:
        with self._choosing:
            if self._free:
                return self._free.pop()
            committer = Committer(self._url, link=self._link)
            self._committers.append(committer)
            return committer

    def clock_ns(self) -> int:
        """Return the database's time, ns since the epoch."""
        with self._life.connection() as connection:
            row = connection.execute("SELECT (extract(epoch FROM kronos.now()) * 1e6)::bigint").fetchone()
        return cast("tuple[int]", row)[0] * 1000

    def close(self) -> None:
        """Close every connection."""
        for session in (self._intake, self._life, self._reaper):
            session.close()
        for committer in self._committers:
            committer.close()

    @contextmanager
    def _fenced(self, incarnation: IncarnationId) -> Iterator[Connection]:
        with self._intake.transaction() as connection:
            fenced(connection, incarnation)
            yield connection
