"""The judge of a history: plain SQL, json, hashlib, zstandard; none of the engine's code.

What must hold of every history, whatever was killed, delayed, repeated or lost on the way:
  * numbers without a gap; the chain, recomputed from the stored bytes, ends in the head noted with the run's end;
  * one outcome for each (run, step, attempt), attempts counted 1, 2, 3, …; one completion for each step; one end;
  * a step starts after the committed completion of whom it needs, and a run completes with all of its steps;
  * what a run returns is what its workflow computes; a run fails only where a step failed for good;
  * every inbox row that was accepted was seen, and had its effect; inboxes are empty;
  * blobs are there, referred to, and what their names say; each dead letter belongs to a dead run and the reverse.
What is only seen as it happens (executions, commits of the dead) the watch below notes; it is judged here too.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import zstandard

OUTCOMES = ("step_completed", "step_failed", "step_retried")
ENDS = {"run_completed": "completed", "run_failed": "failed", "run_cancelled": "cancelled"}


@dataclass
class Accepted:
    """What the harness knows of the clients' wishes."""

    starts: dict[str, int] = field(default_factory=dict)
    """Run id -> number it was started with, where the client learned of it."""
    cancels: set[str] = field(default_factory=set)
    """Runs whose cancel was accepted."""
    asked: set[str] = field(default_factory=set)
    """Runs whose cancel was asked for: without an answer it may have been accepted or not."""


@dataclass
class Rules:
    """What the workflows compute and whom their steps wait for."""

    expected: dict[str, Any]
    needs: dict[str, dict[str, tuple[str, ...]]]


def chained(head: bytes, seq: int, count: int, attempt: int, at_ns: int, kind: str, step: str, body: bytes) -> bytes:
    digest = hashlib.blake2b(head, digest_size=32)
    for part in (struct.pack(">qhhq", seq, count, attempt, at_ns), kind.encode(), step.encode(), body):
        digest.update(struct.pack(">Q", len(part)))
        digest.update(part)
    return digest.digest()


class Watch:
    """Asks the database while things happen; each question is one statement on a connection of its own."""

    def __init__(self, connection: psycopg.Connection[Any], rules: Rules) -> None:
        self._connection = connection
        self._rules = rules
        self.broken: list[str] = []
        self.executions: list[tuple[str, str, int]] = []

    def execution(self, run: str, step: str, attempt: int, worker: int, job: str = "") -> None:
        """A step's code is about to be called: whom it needs must be on record as completed.

        A worker that was declared dead while it stood still may not know yet, and call once more: its outcome is lost.
        Nor may one that took a step of another's run as `job` before its outcome came: then that job is gone, and with
        it the leave to say anything.  A job that is there when the outcome is on record is an offer too many.
        """
        self.executions.append((run, step, attempt))
        workflow = self._one("SELECT workflow FROM kronos.runs WHERE id = %s", run)
        needs = self._rules.needs.get(workflow, {}).get(step.partition("[")[0], ())
        for need in needs:
            if not self._one(
                "SELECT count(*) FROM kronos.events WHERE run_id = %s AND step = %s AND kind = 'step_completed'",
                run,
                need,
            ):
                self.broken.append(f"run {run}: {step} is executed before {need} was committed")
        if (
            (not job or self._one("SELECT count(*) FROM kronos.jobs WHERE id = %s", job))
            and self._one("SELECT dead_at IS NULL FROM kronos.incarnations WHERE id = %s", worker)
            and self._one(
                "SELECT count(*) FROM kronos.events WHERE run_id = %s AND step = %s AND kind = 'step_completed'",
                run,
                step,
            )
        ):
            self.broken.append(f"run {run}: {step} is executed again after its outcome was committed")

    def commit(self, incarnation: int | None, epoch: int | None) -> str:
        """An incarnation, or the leader of `epoch`, is about to commit what it did; say what is wrong with that."""
        dead = "SELECT count(*) FROM kronos.incarnations WHERE id = %s AND dead_at IS NOT NULL"
        if incarnation is not None and self._one(dead, incarnation):
            return f"incarnation {incarnation} commits events after it was declared dead"
        if epoch is not None and (present := self._one("SELECT epoch FROM kronos.leader")) != epoch:
            return f"the leader of epoch {epoch} commits in epoch {present}"
        return ""

    def _one(self, query: str, *values: Any) -> Any:
        return self._connection.execute(query, values).fetchone()[0]


def broken_rules(connection: psycopg.Connection[Any], rules: Rules, accepted: Accepted) -> list[str]:
    """Return what is wrong with the database's history; nothing, one hopes."""
    found = list(_runs(connection, rules, accepted))
    found += _inbox(connection)
    found += _blobs(connection)
    found += _letters(connection)
    found += _firings(connection)
    return found


def _runs(connection: psycopg.Connection[Any], rules: Rules, accepted: Accepted) -> Iterator[str]:
    runs = connection.execute(
        """SELECT id::text, workflow, phase::text, input, output, head_seq, head_hash, inbox_n, inbox_seen, owner,
                  child_of::text, child_step
           FROM kronos.runs ORDER BY id"""
    ).fetchall()
    rows = defaultdict(list)
    for run, *row in connection.execute(
        """SELECT run_id::text, seq, count, kind::text, step, attempt, at_ns, body, hash
           FROM kronos.events ORDER BY run_id, seq"""
    ):
        rows[run].append(row)
    known = {run[0] for run in runs}
    yield from (f"run {run}: events without a run" for run in rows if run not in known)
    yield from (f"run {run}: its start was acknowledged, and it is not there" for run in accepted.starts.keys() - known)
    yield from _children(runs)
    given_up = {run[10] for run in runs if run[2] == "dead"}
    for run, workflow, phase, given, output, head_seq, head_hash, inbox_n, inbox_seen, owner, parent, _step in runs:
        trouble = list(_history(rows[run], phase, head_seq, head_hash))
        trouble += _steps(rows[run], phase, rules.needs.get(workflow, {}))
        if phase == "completed" and workflow in rules.expected:
            number = json.loads(given)["number"]
            wanted = rules.expected[workflow]
            if wanted is None or json.loads(output) != wanted(number):
                trouble.append(f"{workflow}({number}) returned {output!r}")
        if run in accepted.cancels and phase not in ("cancelled", "dead"):
            trouble.append(f"a cancel was accepted, and the run is {phase}")
        if run not in accepted.asked and parent not in accepted.asked and phase == "cancelled":
            trouble.append("nobody asked for a cancel")
        if inbox_n != inbox_seen and phase != "dead":
            trouble.append(f"{inbox_n} commands came and {inbox_seen} were seen")
        if owner is not None:
            trouble.append(f"it ended and is owned by {owner}")
        fails = rules.expected.get(workflow, "") is None or run in given_up
        if phase == "failed" and workflow in rules.expected and not fails:
            trouble.append(f"{workflow} does not fail: {rows[run][-1][6]!r}")
        yield from (f"run {run} ({workflow}): {each}" for each in trouble)


def _children(runs: list[Any]) -> Iterator[str]:
    """A step starts one run, and a run that has ended leaves none of its children open."""
    seen = set()
    phases = {run[0]: run[2] for run in runs}
    for run, *_rest, parent, step in runs:
        if parent is None:
            continue
        if (parent, step) in seen:
            yield f"run {parent}: {step} started a second run, {run}"
        seen.add((parent, step))
        if phases[parent] == "completed" and phases[run] != "completed":
            yield f"run {parent}: it completed, and its child {run} is {phases[run]}"


def _history(rows: list[Any], phase: str, head_seq: int, head_hash: bytes | None) -> Iterator[str]:
    head, last = bytes(32), 0
    for seq, count, kind, step, attempt, at_ns, body, stored in rows:
        if seq - count != last:
            yield f"after seq {last} comes {seq} with count {count}"
        last, head = seq, chained(head, seq, count, attempt, at_ns, kind, step, body)
        if head != stored:
            yield f"seq {seq}: the chain is broken"
    kinds = [row[2] for row in rows]
    ends = [kind for kind in kinds if kind in ENDS]
    if phase not in (*ENDS.values(), "dead"):
        yield f"it did not end: {phase}"
        return
    if len(ends) != 1 or kinds[-1] != ends[0]:
        yield f"it ends with {ends} and its last event is {kinds[-1:]}"
    elif ENDS[ends[0]] != phase and not (phase == "dead" and ends[0] == "run_failed"):
        yield f"it is {phase} and ended with {ends[0]}"
    if kinds.count("run_started") > 1:
        yield "it started twice"
    if (last, head) != (head_seq, head_hash):
        yield f"its head is noted as {head_seq}, and its last event is {last}"


def _steps(rows: list[Any], phase: str, needs: dict[str, tuple[str, ...]]) -> Iterator[str]:
    completed: dict[str, int] = {}
    attempts: dict[str, int] = {}
    ended: set[tuple[str, int]] = set()
    for seq, _count, kind, step, attempt, _at, _body, _hash in rows:
        if not kind.startswith("step_"):
            continue
        if attempt not in (attempts.get(step, 0), attempts.get(step, 0) + 1):
            yield f"seq {seq}: attempt {attempt} of {step} follows {attempts.get(step, 0)}"
        attempts[step] = attempt
        if step in completed:
            yield f"seq {seq}: {kind} of {step}, which was completed at {completed[step]}"
        if (step, attempt) in ended:
            yield f"seq {seq}: {kind} of attempt {attempt} of {step}, which has its outcome already"
        if kind in OUTCOMES:
            ended.add((step, attempt))
        missing = [need for need in needs.get(step.partition("[")[0], ()) if need not in completed]
        if missing:
            yield f"seq {seq}: {kind} of {step} before {missing} completed"
        if kind == "step_completed":
            completed[step] = seq
    nodes = {step for step in completed if "[" not in step}
    if phase == "completed" and needs and not (nodes == needs.keys() and attempts.keys() == completed.keys()):
        yield f"it completed with {sorted(completed)} of {sorted(needs)}"


def _inbox(connection: psycopg.Connection[Any]) -> Iterator[str]:
    for run, kind, phase in connection.execute(
        """SELECT i.run_id::text, i.kind, r.phase::text FROM kronos.run_inbox i JOIN kronos.runs r ON r.id = i.run_id
           WHERE r.phase <> 'dead'"""
    ):
        yield f"run {run}: it is {phase}, and a {kind} lies in its inbox"


def _blobs(connection: psycopg.Connection[Any]) -> Iterator[str]:
    unpack = zstandard.ZstdDecompressor().decompress
    there = set()
    for name, size, data in connection.execute("SELECT hash, size, data FROM kronos.blobs"):
        there.add(name.hex())
        content = unpack(data, max_output_size=max(1, size))
        if hashlib.sha256(content).digest() != name or len(content) != size:
            yield f"blob {name.hex()} is not what its name says"
    referred = {
        (blob.hex(), owner)
        for blob, owner in connection.execute("SELECT blob, owner FROM kronos.blob_refs WHERE kind = 'run'")
    }
    for run, body in connection.execute(
        "SELECT run_id::text, body FROM kronos.events WHERE body LIKE '%$blob%'::bytea"
    ):
        for name in _named_blobs(json.loads(body)):
            if name not in there:
                yield f"run {run}: blob {name} is gone"
            if (name, run) not in referred:
                yield f"run {run}: nothing says that it needs blob {name}"


def _named_blobs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$blob" in value:
            yield value["$blob"]
        for each in value.values():
            yield from _named_blobs(each)


def _firings(connection: psycopg.Connection[Any]) -> Iterator[str]:
    for schedule, slot, run, there in connection.execute(
        """SELECT f.schedule_id, f.nominal_time, f.run_id::text, r.id IS NOT NULL
           FROM kronos.schedule_firings f LEFT JOIN kronos.runs r ON r.id = f.run_id WHERE f.outcome = 'started'"""
    ):
        if not there:
            yield f"schedule {schedule}: its slot {slot} says it started run {run}, which is not there"
    for schedule, slot, count in connection.execute(
        """SELECT s.id, s.next_at, count(f.run_id) FROM kronos.schedules s LEFT JOIN kronos.schedule_firings f
           ON f.schedule_id = s.id GROUP BY s.id, s.next_at, s.created_at
           HAVING count(f.run_id) <> (extract(epoch FROM s.next_at - '2026-01-07 12:00:00+00') / 60)::integer"""
    ):
        yield f"schedule {schedule}: its next slot is {slot}, and it has fired {count} times"


def _letters(connection: psycopg.Connection[Any]) -> Iterator[str]:
    for run, phase, letter in connection.execute(
        """SELECT coalesce(r.id, d.run_id)::text, r.phase::text, d.run_id IS NOT NULL
           FROM kronos.runs r FULL JOIN kronos.dead_letters d ON d.run_id = r.id
           WHERE (r.phase = 'dead') <> (d.run_id IS NOT NULL)"""
    ):
        yield f"run {run}: it is {phase}, and {'a' if letter else 'no'} dead letter tells of it"
