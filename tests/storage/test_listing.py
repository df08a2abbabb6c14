"""Runs as lines: what a page of them reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from kronos.app import Kronos
from kronos.core.state import Phase
from kronos.ports.history import RunFilter
from kronos.storage.database import Connection
from kronos.storage.listing import Listing

COMPLETED = 4_000


class OneTransaction:
    """One connection for all questions, so that the rows which they read can be counted."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        yield self._connection

    transaction = connection


@pytest.fixture
def failed(app: Kronos, owner: psycopg.Connection[Any]) -> str:
    """Make one run that failed, and many that completed after it; return the first."""
    first = app.start("doubled", {"number": 1})
    owner.execute("UPDATE kronos.runs SET phase = 'failed', finished_at = kronos.now()")
    owner.execute(
        "INSERT INTO kronos.runs (definition, workflow, version, phase, input, finished_at)"
        " SELECT definition, workflow, version, 'completed', input, kronos.now()"
        " FROM kronos.runs, generate_series(1, %s)",
        (COMPLETED,),
    )
    owner.execute("ANALYZE kronos.runs")
    return first


@pytest.mark.usefixtures("app")
def test_the_few_runs_that_failed_are_found_without_reading_the_many_that_completed(failed, owner):
    listing = Listing(OneTransaction(owner))

    with owner.transaction():
        page = listing.runs(RunFilter(phases=(Phase.FAILED, Phase.DEAD), limit=10))
        number = listing.count(RunFilter(phases=(Phase.FAILED,)))
        read = rows_read(owner)

    assert [run.id for run in page.runs] == [failed]
    assert number == 1
    assert read < 10


@pytest.mark.usefixtures("app")
def test_runs_that_completed_are_listed_newest_first_though_no_index_of_phases_holds_them(failed, owner):
    listing = Listing(OneTransaction(owner))

    with owner.transaction():
        page = listing.runs(RunFilter(phases=(Phase.COMPLETED,), limit=10))
        read = rows_read(owner)

    ids = [run.id for run in page.runs]
    assert len(ids) == 10
    assert ids == sorted(ids, reverse=True)
    assert failed not in ids
    assert read < 20
    assert listing.count(RunFilter(phases=(Phase.COMPLETED, Phase.FAILED))) == COMPLETED + 1


def rows_read(owner: psycopg.Connection[Any]) -> int:
    """Return how many rows of `runs` this transaction has read."""
    row = owner.execute(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_all_tables WHERE relid = 'kronos.runs'::regclass"
    ).fetchone()
    assert row is not None
    return int(row[0])
