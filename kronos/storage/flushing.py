"""What one flush says to Postgres: BEGIN and everything but its rows in one round trip, then COPY, then COMMIT.

Rule 1: each wait for an answer is a wait for the interpreter as well, five milliseconds when other threads compute; so
        fence, ends and proof travel in one pipeline.
Rule 2: the fence's answer is looked at before any other: what an incarnation that is dead has sent is rolled back.
Rule 3: rows are locked in the order of their ids.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, cast

import zstandard

from kronos.kernel.ids import IncarnationId
from kronos.ports.queue import BlobWrite, Flush, Head, Parked
from kronos.storage.database import Connection, committing
from kronos.storage.families import lock_families, write_families
from kronos.storage.fencing import ask_fence, check_fence
from kronos.storage.notices import announce
from kronos.storage.statements import statement

__all__ = ["begun", "copy_rows", "noted", "write_blobs"]

FORGET_EVERY: Final = 1_000
"""Flushes between two sweeps of acknowledged flush rows."""
COMPRESSION: Final = 3


class Begun(NamedTuple):
    """How the ends of a flush fared: runs `refused` stay open, parked ones `kept` have an unseen inbox row."""

    refused: frozenset[uuid.UUID]
    kept: frozenset[uuid.UUID]


@contextlib.contextmanager
def begun(connection: Connection, incarnation: IncarnationId, flush: Flush) -> Iterator[Begun]:
    """Begin the transaction of `flush` with all but its rows; commit when the caller's block is done.

    Raises `LeaseLost` when the incarnation is dead.
    """
    with committing(connection):
        with connection.pipeline():
            connection.execute("BEGIN")
            begun = _begin(connection, incarnation, flush)
        yield begun


def _write_beside(connection: Connection, flush: Flush) -> None:
    """Write what only few flushes hold: attributes, drained inbox rows, dead letters, offers."""
    if flush.attributes:
        connection.execute(statement("set_attributes"), _attributed(flush))
    if flush.drained or flush.drained_by_end:
        connection.execute(statement("delete_inbox"), _drained(flush))
    if flush.dead:
        connection.execute(statement("insert_dead_letters"), _dead(flush))
    if flush.offered:
        connection.execute(statement("insert_step_jobs"), _offered(flush))
        announce(connection, "jobs")  # else the others would look a poll later: a second a round
    write_families(connection, flush)


def _begin(connection: Connection, incarnation: IncarnationId, flush: Flush) -> Begun:
    asked = ask_fence(connection, incarnation)
    if flush.blobs:
        write_blobs(connection, flush.blobs)
    closing = parking = None
    if flush.withdrawn:  # first: who sends outcomes locks the job before its run as well
        connection.execute(statement("withdraw_step_jobs"), {"onces": [once for _, once in flush.withdrawn]})
    lock_families(connection, flush)
    if flush.ended:
        closing = connection.execute(statement("finish_runs"), _ended(incarnation, flush))
    if flush.noted:
        connection.execute(statement("note_heads"), noted(incarnation, flush.noted))
    if flush.parked:
        parking = connection.execute(statement("park_runs"), _parked(incarnation, flush.parked))
    _write_beside(connection, flush)
    connection.execute(statement("insert_flush"), {"incarnation": incarnation, "number": flush.number})
    if flush.number % FORGET_EVERY == 0:
        old = {"incarnation": incarnation, "acknowledged": flush.acknowledged}
        connection.execute(statement("forget_flushes"), old)
    check_fence(asked, incarnation)
    refused, kept = frozenset[uuid.UUID](), frozenset[uuid.UUID]()
    if closing is not None:
        closed = {cast("uuid.UUID", row[0]) for row in closing.fetchall()}
        refused = frozenset(head.run for head in flush.ended if head.run not in closed)
    if parking is not None:
        kept = frozenset(cast("uuid.UUID", run) for run, is_kept in parking.fetchall() if is_kept)
    return Begun(refused, kept)


def copy_rows(connection: Connection, encoded: bytes) -> None:
    """Append rows that `copying.encode_rows` made."""
    with connection.cursor() as cursor, cursor.copy(statement("copy_events")) as copy:
        copy.write(encoded)


def write_blobs(connection: Connection, blobs: list[BlobWrite], kind: str = "run") -> None:
    """Store `blobs` and who refers to them, in the caller's transaction; sorted, so that two writers never deadlock."""
    compressor = zstandard.ZstdCompressor(level=COMPRESSION)  # not safe to share: two threads in one corrupt the heap
    unique = {blob.hash: blob for blob in sorted(blobs, key=lambda each: each.hash)}
    connection.execute(
        statement("put_blobs"),
        {
            "hashes": [bytes.fromhex(name) for name in unique],
            "sizes": [len(blob.data) for blob in unique.values()],
            "datas": [compressor.compress(blob.data) for blob in unique.values()],
        },
    )
    connection.execute(
        statement("refer_blobs"),
        {
            "blobs": [bytes.fromhex(blob.hash) for blob in blobs],
            "kinds": [kind] * len(blobs),
            "owners": [str(blob.run_id) for blob in blobs],
        },
    )


def _ended(incarnation: IncarnationId, flush: Flush) -> dict[str, object]:
    ended = sorted(flush.ended, key=lambda head: head.run)
    return {
        "incarnation": incarnation,
        "runs": [head.run for head in ended],
        "phases": [head.phase for head in ended],
        "outputs": [head.output for head in ended],
        "failures": [head.failure for head in ended],
        "steps": [head.step for head in ended],
        "ats": [head.at_ns for head in ended],
        "seqs": [head.seq for head in ended],
        "hashes": [head.hash for head in ended],
        "seens": [head.inbox_seen for head in ended],
        "spents": [head.spent for head in ended],
    }


def noted(incarnation: IncarnationId, heads: Sequence[Head]) -> dict[str, object]:
    """Return the parameters of `note_heads`, in lock order."""
    ordered = sorted(heads, key=lambda head: head.run)
    return {
        "incarnation": incarnation,
        "runs": [head.run for head in ordered],
        "seqs": [head.seq for head in ordered],
        "hashes": [head.hash for head in ordered],
        "seens": [head.inbox_seen for head in ordered],
    }


def _parked(incarnation: IncarnationId, parked: list[Parked]) -> dict[str, object]:
    wakes = {each.head.run: each.wake_ns for each in parked}
    heads = noted(incarnation, [each.head for each in parked])
    return {**heads, "wakes": [wakes[run] for run in sorted(wakes)]}


def _drained(flush: Flush) -> dict[str, object]:
    ending = [head.run for head in flush.ended]
    runs = {row.run for row in flush.rows} | {head.run for head in flush.noted} | set(ending)
    runs |= {each.head.run for each in flush.parked}
    return {"ids": flush.drained, "by_end": flush.drained_by_end, "runs": list(runs), "ending": ending}


def _attributed(flush: Flush) -> dict[str, object]:
    ordered = sorted(flush.attributes.items())
    return {"runs": [run for run, _ in ordered], "attributes": [given.decode() for _, given in ordered]}


def _offered(flush: Flush) -> dict[str, object]:
    runs, queues, targets, inputs, onces = zip(*sorted(flush.offered, key=lambda each: each.run), strict=True)
    return {
        "runs": list(runs),
        "queues": list(queues),
        "targets": list(targets),
        "inputs": list(inputs),
        "onces": list(onces),
    }


def _dead(flush: Flush) -> dict[str, object]:
    return {
        "runs": [each.run for each in flush.dead],
        "steps": [each.step for each in flush.dead],
        "attempts": [each.attempt for each in flush.dead],
        "failures": [each.failure for each in flush.dead],
    }
