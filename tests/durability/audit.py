"""An audit of the database from the outside: plain SQL, json, hashlib, zstandard; none of the engine's code.

What must hold of every run, whatever was killed:
  * numbering without a gap: seq - count is the seq of the row before;
  * the chain, recomputed from the stored bytes as `core/chaining.py` documents it, ends in the run's noted head;
  * one step_completed a step, one outcome an attempt;
  * inbox empty and seen; blobs there, referred to, and what their names say;
  * the recorded execution of a step is the last one that the ledger knows: nothing ran again after its commit.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import zstandard

OUTCOMES = ("step_completed", "step_failed", "step_retried")
ENDS = ("run_completed", "run_failed", "run_cancelled")


@dataclass
class Audited:
    """One run as the audit found it."""

    id: str
    phase: str
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    completed: dict[str, Any] = field(default_factory=dict)
    """Step -> decoded output."""
    output: Any = None
    head_seq: int = 0


def chained(head: bytes, seq: int, count: int, attempt: int, at_ns: int, kind: str, step: str, body: bytes) -> bytes:
    digest = hashlib.blake2b(head, digest_size=32)
    for part in (struct.pack(">qhhq", seq, count, attempt, at_ns), kind.encode(), step.encode(), body):
        digest.update(struct.pack(">Q", len(part)))
        digest.update(part)
    return digest.digest()


def audit(url: str, *, workflow: str | None = None, ended: bool = True) -> dict[str, Audited]:
    """Return every run, audited; an AssertionError names the run and what is wrong with it."""
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        runs = connection.execute(
            """SELECT id::text, phase::text, head_seq, head_hash, inbox_n, inbox_seen, output, owner FROM kronos.runs
               WHERE %(workflow)s::text IS NULL OR workflow = %(workflow)s ORDER BY id""",
            {"workflow": workflow},
        ).fetchall()
        found = {}
        for run_id, phase, head_seq, head_hash, inbox_n, inbox_seen, output, owner in runs:
            one = found[run_id] = Audited(run_id, phase, head_seq=head_seq)
            one.rows = connection.execute(
                """SELECT seq, count, kind::text, step, attempt, at_ns, body, hash FROM kronos.events
                   WHERE run_id = %s ORDER BY seq""",
                (run_id,),
            ).fetchall()
            head, last = bytes(32), 0
            for seq, count, kind, step, attempt, at_ns, body, stored in one.rows:
                assert seq - count == last, f"{run_id}: {last} is followed by {seq} - {count}"
                head = chained(head, seq, count, attempt, at_ns, kind, step, body)
                assert head == stored, f"{run_id}: the hash at {seq} is not that of its bytes"
                last = seq
            _check_outcomes(one)
            if phase in ("completed", "failed", "cancelled", "dead"):
                assert (last, head) == (head_seq, head_hash), f"{run_id}: head {head_seq} noted, {last} found"
                assert one.rows[-1][2] in ENDS, f"{run_id}: ends with {one.rows[-1][2]}"
                assert inbox_n == inbox_seen, f"{run_id}: {inbox_n} commands, {inbox_seen} seen"
                assert owner is None, f"{run_id}: ended, and owned by {owner}"
                inbox = connection.execute("SELECT count(*) FROM kronos.run_inbox WHERE run_id = %s", (run_id,))
                assert inbox.fetchone() == (0,), f"{run_id}: ended with commands in its inbox"
                if output is not None:
                    one.output = _payload(connection, run_id, json.loads(output))
            else:
                assert not ended, f"{run_id}: {phase}"
            for step, facts in one.completed.items():
                one.completed[step] = _payload(connection, run_id, facts["output"])
    return found


def _check_outcomes(one: Audited) -> None:
    ends = [row for row in one.rows if row[2] in ENDS]
    assert len(ends) <= 1, f"{one.id}: {len(ends)} ends"
    attempts: Counter[tuple[str, int]] = Counter()
    for _, _, kind, step, attempt, _, body, _ in one.rows:
        if kind in OUTCOMES:
            attempts[step, attempt] += 1
        if kind == "step_completed":
            assert step not in one.completed, f"{one.id}: step {step} completed twice"
            one.completed[step] = json.loads(body)
    doubled = {key: n for key, n in attempts.items() if n > 1}
    assert not doubled, f"{one.id}: several outcomes of one attempt: {doubled}"


def _payload(connection: psycopg.Connection[Any], run_id: str, value: Any) -> Any:
    if not (isinstance(value, dict) and "$blob" in value):
        return value
    name = value["$blob"]
    row = connection.execute("SELECT size, data FROM kronos.blobs WHERE hash = %s", (bytes.fromhex(name),)).fetchone()
    assert row is not None, f"{run_id}: blob {name} is missing"
    data = zstandard.ZstdDecompressor().decompress(row[1])
    assert hashlib.sha256(data).hexdigest() == name, f"{run_id}: blob {name} is damaged"
    assert len(data) == row[0] == value["size"]
    refers = "SELECT 1 FROM kronos.blob_refs WHERE blob = %s AND kind = 'run' AND owner = %s"
    assert connection.execute(refers, (bytes.fromhex(name), run_id)).fetchone(), f"{run_id}: nobody refers to {name}"
    return json.loads(data)


@dataclass(frozen=True)
class Execution:
    run: str
    step: str
    attempt: int
    token: str
    pid: int
    started_ns: int


def read_ledger(path: Path) -> list[Execution]:
    """Return what was executed, in order of start."""
    lines = path.read_text().splitlines() if path.exists() else []
    found = []
    for line in lines:
        run, step, attempt, token, pid, started = line.split()
        found.append(Execution(run, step, int(attempt), token, int(pid), int(started)))
    return sorted(found, key=lambda each: each.started_ns)


def check_executions(runs: dict[str, Audited], ledger: list[Execution]) -> int:
    """Hold the record against the ledger; return how many executions came to nothing (at least once, not once)."""
    last: dict[tuple[str, str], Execution] = {}
    for execution in ledger:
        last[execution.run, execution.step] = execution
    recorded = 0
    for run in runs.values():
        for step, output in run.completed.items():
            assert (run.id, step) in last, f"{run.id}: {step} is on record and was never executed"
            execution = last[run.id, step]
            assert output["token"] == execution.token, (
                f"{run.id}: {step} is recorded as {output['token']}, and was executed again as {execution.token}"
            )
            recorded += 1
    return len(ledger) - recorded
