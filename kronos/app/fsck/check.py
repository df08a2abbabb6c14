"""`kronos fsck`: every invariant of a database, judged by code that did not write it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import psycopg

from kronos.app.fsck.anchor import Anchors, anchor_header, anchor_line
from kronos.app.fsck.content import (
    check_blobs,
    check_checkpoints,
    check_commands,
    check_datasets,
    check_segments,
)
from kronos.app.fsck.definitions import check_definitions
from kronos.app.fsck.finding import Finding
from kronos.app.fsck.jobs import check_jobs
from kronos.app.fsck.reading import Progress, Reader
from kronos.app.fsck.schedules import check_schedules
from kronos.app.fsck.tables import check_schema, check_tables
from kronos.app.fsck.walk import class_of, heads, walk
from kronos.errors import NotFound
from kronos.kernel.ids import RunId
from kronos.ports.blobs import Blobs
from kronos.storage.database import Connection, connect

__all__ = ["Fsck", "reading_connection"]


def reading_connection(url: str) -> Connection:
    """Open a connection whose transactions are snapshots that write nothing, and which sees all that the login may."""
    connection = connect(url, purpose="fsck", role=False)
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    return connection


class Fsck:
    """Judges what stands in a database through one connection; `blobs` fetches the segments of journals."""

    def __init__(self, connection: Connection, blobs: Blobs, *, progress: Progress | None = None) -> None:
        self._reader = Reader(connection, progress)
        self._blobs = blobs

    def check(self, run_id: RunId | None = None, *, anchor: Path | None = None) -> Iterator[Finding]:
        """Yield everything that is wrong, with one run or with all; `anchor` holds heads that were exported earlier.

        Raises `NotFound` for an unknown run, `InvalidInput` for a file that is no anchor.
        """
        reader, only = self._reader, None if run_id is None else uuid.UUID(run_id)
        if only is not None and class_of(reader, only) is None:
            raise NotFound(f"no run {run_id}: `kronos runs list` prints them", run_id=run_id)
        reader.total = self._things(everything=only is None)
        yield from walk(reader, only=only, anchors=None if anchor is None else Anchors(anchor))
        yield from check_segments(reader, self._blobs, only)
        yield from check_checkpoints(reader, only)
        yield from check_commands(reader, only)
        if only is None:
            yield from check_definitions(reader)
            yield from check_datasets(reader, self._blobs)
            yield from check_blobs(reader)
            yield from check_schema(reader)
            yield from check_tables(reader)
            yield from check_jobs(reader)
            yield from check_schedules(reader)

    def write_anchor(self, file: TextIO) -> int:
        """Write where each run's history stands; return how many runs."""
        reader, written = self._reader, 0
        reader.total = self._things(everything=False)
        print(anchor_header(), file=file)
        for head in heads(reader):
            print(anchor_line(head), file=file)
            written += 1
        return written

    def _things(self, *, everything: bool) -> int:
        ((runs, blobs),) = self._reader.rows("count_things")
        return int(runs) + int(blobs) * everything
