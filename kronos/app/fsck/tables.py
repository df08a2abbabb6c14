"""Invariants that one statement can judge: each returns the rows that break it, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from kronos.app.fsck.finding import Finding
from kronos.app.fsck.reading import Reader

__all__ = ["JUDGED_BY_SQL", "check_tables"]

JUDGED_BY_SQL: Final[Mapping[str, str]] = {
    "owners": "owner",
    "heartbeats": "heartbeat",
    "flushes": "flush",
    "dead_letters": "dead_letter",
    "missing_blobs": "blob_missing",
    "partitions": "partition",
    "triggers": "trigger",
    "jobs": "job",
    "schedules": "schedule",
    "archives": "archive",
    "rights": "rights",
}
"""Statement under `sql/fsck` to name of the check."""


def check_tables(reader: Reader) -> Iterator[Finding]:
    """Yield every row that breaks one of them."""
    for name, check in JUDGED_BY_SQL.items():
        for row, what in reader.rows(name):
            yield Finding(check=check, row=row, what=what)
