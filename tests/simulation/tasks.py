"""Jobs in a simulated history: who asks for them, a journal of what became of each, and its judge.

Rule: the journal is written by the database itself, in the transaction that changes a job; what was rolled back is not
      in it.  The judge reads nothing else, and shares nothing with the engine.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import psycopg

from kronos.engine.tasks import Task
from kronos.errors import Unavailable
from kronos.ports.jobbook import NewJob
from kronos.storage.database import Session
from kronos.storage.jobbook import JobBook
from kronos.testing.scheduling import current_actor
from tests.simulation import flows

__all__ = ["JOURNAL", "JobClient", "Wished", "broken_jobs", "wrong_attempt"]

KEEP_MS: Final = 3_600_000
JOURNAL: Final = """
CREATE TABLE arena.job_journal (
    n bigint GENERATED ALWAYS AS IDENTITY, id text, run text, before text, after text, attempt integer, worker bigint,
    at timestamptz, deadline timestamptz, due timestamptz, key text, input bytea, output bytea
);
CREATE FUNCTION arena.note_job() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    j kronos.jobs := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    INSERT INTO arena.job_journal (id, run, before, after, attempt, worker, at, deadline, due, key, input, output)
    VALUES (j.id, j.run_id, CASE WHEN TG_OP <> 'INSERT' THEN OLD.state END,
            CASE WHEN TG_OP <> 'DELETE' THEN NEW.state END,
            j.attempt, coalesce(j.worker, CASE WHEN TG_OP = 'UPDATE' THEN OLD.worker END), kronos.now(), j.deadline_at,
            j.due_at, j.idempotency_key, j.input, j.output);
    RETURN NULL;
END
$$;
CREATE TRIGGER note_job AFTER INSERT OR UPDATE OR DELETE ON kronos.jobs FOR EACH ROW EXECUTE FUNCTION arena.note_job();
"""
"""What the arena adds to its database: each state of each job, in order."""

WAYS: Final = {
    None: {"pending"},
    "pending": {"pending", "running", "cancelled", "expired"},
    "running": {"running", "pending", "completed", "cancelled", "dead"},
}
"""Which state may follow which; from an end leads no way."""
EXPECTED: Final = {"double": lambda n: 2 * n, "stumble": lambda n: n + 10, "never": None}
"""What a job of each step returns; None: it dies."""


@dataclass
class Wished:
    """What clients know of the jobs that they asked for."""

    known: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Id -> step and number, where an answer came."""
    asked: set[str] = field(default_factory=set)
    """Whose end was asked for."""
    cancelled: set[str] = field(default_factory=set)
    """Who waited when a cancel was accepted: they never run again."""
    by_key: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Idempotency key -> the ids that came as an answer: one."""


class JobClient:
    """Somebody who asks for jobs, for some twice under one key, and cancels some."""

    def __init__(self, name: str, world: Any) -> None:
        self.name = name
        self.paused_until_ns = 0
        self.is_over = False
        self._wished: Wished = world.wished
        self._rng = random.Random(f"{world.seed}/{name}")
        self._aim: str | None = world.plan.aim
        self._book = JobBook(Session(world.arena.url, purpose="client", link=world.network.link(self)))
        self._actor = world.scheduler.spawn(name, self, self._act)

    def die(self) -> None:
        self.is_over = self._actor.killed = True
        self.paused_until_ns = 0

    def _act(self) -> None:
        rng = self._rng
        for number in range(rng.choice((1, 1, 2))):
            step, key = rng.choice(("double", "double", "stumble", "never")), f"order {number}"
            if self._aim == "fail_jobs":
                step = "never"
            is_keyed = step != "never" and rng.random() < 0.5
            ids = self._ask_once(key, number) if is_keyed else self._ask(step, rng.randint(0, 50))
            _me().wait(rng.choice((0.0, 0.1, 0.6)))
            if ids and (self._aim == "cancel_job" or rng.random() < 0.3):
                self._cancel(rng.choice(ids))
        self.is_over = True

    def _ask(self, step: str, number: int) -> list[str]:
        wanted = [self._job(step, number) for _ in range(self._rng.choice((1, 1, 3)))]
        try:
            ids = [str(job) for job in self._book.submit(wanted)]
        except Unavailable:
            return []  # it may have happened or not
        self._wished.known.update(dict.fromkeys(ids, (step, number)))
        return ids

    def _ask_once(self, key: str, number: int) -> list[str]:
        """Ask under a key that the other clients use as well, until an answer comes."""
        wanted = msgspec.structs.replace(self._job("double", number), idempotency_key=key)
        times = range(self._rng.choice((1, 2)))
        ids = [str(_patiently(lambda: self._book.submit_once(wanted))) for _ in times]
        self._wished.by_key[key].update(ids)
        self._wished.known.update(dict.fromkeys(ids, ("double", number)))
        return ids

    def _job(self, step: str, number: int) -> NewJob:
        rng = self._rng
        return NewJob(
            target=getattr(flows, step).target,
            input=msgspec.json.encode({"number": number}),
            queue=rng.choice(("default", "default", "aside")),
            key=rng.choice(("", "", "left", "right")),
            priority=rng.choice((1, 5, 10)),
            keep_ms=KEEP_MS,
            delay_ms=rng.choice((None, None, 300)),
            deadline_ms=rng.choice((None, None, 400, 900)),
        )

    def _cancel(self, job: str) -> None:
        self._wished.asked.add(job)
        if _patiently(lambda: self._book.cancel(job, "no longer wanted")) == "cancelled":  # type: ignore[arg-type]
            self._wished.cancelled.add(job)


def _patiently(ask: Any) -> Any:
    while True:
        try:
            return ask()
        except Unavailable:
            _me().wait(0.2)


def _me() -> Any:
    actor = current_actor()
    assert actor is not None
    return actor


def wrong_attempt(connection: psycopg.Connection[Any], task: Task, worker: int) -> str:
    """Code of a job, or of steps of another's run, is about to be called by `worker`; say what is wrong with that.

    The dead may not know yet: what they do is lost. Nor may one whose job was cancelled, or whose job's run ended.
    """
    row = connection.execute(
        """SELECT j.state::text, j.worker, j.attempt FROM kronos.incarnations w LEFT JOIN kronos.jobs j ON j.id = %s
           WHERE w.id = %s AND w.dead_at IS NULL""",
        (task.job, worker),
    ).fetchone()
    if row is None or row[0] == ("cancelled" if task.job == task.run_id else None):
        return ""
    if row[:2] == ("running", worker) and (task.job != task.run_id or row[2] == task.attempt):
        return ""
    return f"job {task.job}: attempt {task.attempt} is executed by {worker}, and on record is {row}"


def broken_jobs(connection: psycopg.Connection[Any], wished: Wished) -> Iterator[str]:
    """Yield what is wrong with what became of the jobs."""
    journal = defaultdict(list)
    for job, *row in connection.execute(
        """SELECT id, run, before, after, attempt, worker, at, deadline, due, key, input, output
           FROM arena.job_journal ORDER BY n"""
    ):
        journal[job].append(row)
    yield from (f"job {job}: it was acknowledged, and never there" for job in wished.known.keys() - journal.keys())
    keys = defaultdict(list)
    for job, rows in journal.items():
        if rows[0][0] is None:
            keys[rows[0][8]].append(job)
            yield from (f"job {job}: {each}" for each in (*_ways(rows), *_end(job, rows, wished)))
        elif rows[-1][2] is not None:
            yield f"steps of run {rows[0][0]} are still offered: {rows[-1][2]}"
    for key, jobs in keys.items():
        if key is not None and len(jobs) > 1:
            yield f"idempotency key {key!r} has {len(jobs)} jobs"
    for key, ids in wished.by_key.items():
        if len(ids) > 1:
            yield f"idempotency key {key!r} was answered with {sorted(ids)}"


def _ways(rows: list[Any]) -> Iterator[str]:
    """One state after the other, each attempt by one worker, none after the deadline or before it was due."""
    attempts, holder = 0, None
    for _run, before, after, attempt, worker, at, deadline, due, *_rest in rows:
        if after not in WAYS.get(before, ()):
            yield f"{before} became {after}"
        if before == "pending" and after == "running":
            if attempt != attempts + 1:
                yield f"attempt {attempt} follows {attempts}"
            if deadline is not None and at >= deadline:
                yield f"attempt {attempt} began at {at}, after the deadline {deadline}"
            if at < due:
                yield f"attempt {attempt} began at {at}, before it was due at {due}"
            holder = worker
        if before == "running" and after in {"completed", "cancelled", "dead"} and worker != holder:
            yield f"{after} by {worker}, and {holder} had it in hand"
        attempts = attempt


def _end(job: str, rows: list[Any], wished: Wished) -> Iterator[str]:
    _run, _before, end, _attempt, _worker, at, deadline, _due, _key, given, output = rows[-1]
    step, number = wished.known.get(job, ("", msgspec.json.decode(given)["number"]))
    wanted = EXPECTED.get(step)
    if end == "completed" and step and (wanted is None or msgspec.json.decode(output) != wanted(number)):
        yield f"{step}({number}) returned {output!r}"
    elif end in (None, "pending", "running"):
        yield f"it did not end: {end}"
    elif end == "cancelled" and job not in wished.asked:
        yield "nobody asked for a cancel"
    elif end == "expired" and (deadline is None or at < deadline):
        yield f"it expired at {at}, and its deadline is {deadline}"
    elif end == "dead" and step and wanted is not None:
        yield f"{step} does not fail"
    if job in wished.cancelled and end != "cancelled":
        yield f"its cancel was accepted, and it is {end}"
