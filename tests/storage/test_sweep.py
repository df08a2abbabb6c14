"""What nobody refers to is swept after its grace, and nothing is swept from under somebody who is about to refer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from kronos.kernel.hashing import content_hash
from kronos.kernel.ids import RunId
from kronos.ports.queue import BlobWrite
from kronos.storage import sweeping
from kronos.storage.blobs import PostgresBlobs
from kronos.storage.database import Session
from kronos.storage.flushing import write_blobs
from kronos.storage.statements import statement
from kronos.storage.sweeping import Sweep, Swept

DATA = b"content" * 2_000


@pytest.fixture
def session(database_url):
    session = Session(database_url, purpose="test")
    yield session
    session.close()


@pytest.fixture
def writer(database_url):
    """A second connection, in the middle of a transaction of its own."""
    with psycopg.connect(database_url) as connection:
        yield connection


@pytest.fixture
def put(session, owner):
    """Stores a blob, referred to by `owners`, last touched some time ago."""

    def put(data=DATA, *, owners=(), touched="2 hours"):
        name = content_hash(data)
        with session.transaction() as connection:
            write_blobs(connection, [BlobWrite(name, data, RunId(each)) for each in owners or ("nobody",)])
        if not owners:
            owner.execute("DELETE FROM kronos.blob_refs WHERE owner = 'nobody'")
        owner.execute("UPDATE kronos.blobs SET touched = kronos.now() - %s::interval", (touched,))
        return name

    return put


def in_background(work):
    """Begin `work` in a thread; the returned function waits for its result."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    return lambda: (future.result(10), pool.shutdown())[0]


def wait_for(connection, event, database_url):
    """Wait until the backend of `connection` waits for `event`."""
    with psycopg.connect(database_url, autocommit=True) as observer:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            row = observer.execute(
                "SELECT wait_event FROM pg_stat_activity WHERE pid = %s", (connection.info.backend_pid,)
            ).fetchone()
            if row == (event,):
                return
            time.sleep(0.002)
    raise AssertionError(f"the other connection does not wait for {event}")


def stored(owner):
    return {name for (name,) in owner.execute("SELECT encode(hash, 'hex') FROM kronos.blobs").fetchall()}


def test_what_nobody_refers_to_is_gone_after_the_grace(session, owner, put):
    put()
    assert Sweep(session).run() == Swept(examined=1, deleted=1, bytes=len(DATA))
    assert stored(owner) == set()


def test_never_before_the_grace_is_over(session, owner, put):
    name = put(touched="59 minutes")
    assert Sweep(session).run().deleted == 0
    assert stored(owner) == {name}


def test_one_reference_is_enough_and_a_fork_adds_one(session, owner, put):
    name = put(owners=("parent", "fork"))
    owner.execute("DELETE FROM kronos.blob_refs WHERE owner = 'parent'")
    assert Sweep(session).run().deleted == 0
    owner.execute("DELETE FROM kronos.blob_refs WHERE owner = 'fork'")
    assert Sweep(session).run().deleted == 1
    assert stored(owner) == set(), name


def test_a_writer_that_stores_the_same_content_again_keeps_it_whoever_comes_first(session, owner, put, writer):
    """The fault of plain mark and sweep: the mark is made, the writer finds the blob and refers to it, the sweep takes
    it.  Here the writer has touched and not yet committed when the sweep looks, so the sweep sees no reference.
    """
    name = put()
    write_blobs(writer, [BlobWrite(name, DATA, RunId("run"))])
    assert Sweep(session).run().deleted == 0
    writer.commit()
    owner.execute("UPDATE kronos.blobs SET touched = kronos.now() - interval '2 hours'")
    assert Sweep(session).run().deleted == 0
    assert PostgresBlobs(session, kind="run", owner="run").get(name) == DATA


def test_a_sweep_that_looked_before_the_writer_committed_deletes_nothing_afterwards(session, put, writer, database_url):
    """The sweep's snapshot is older than the writer's transaction, and its delete comes after it: the order in which
    plain mark and sweep leaves a reference without its blob.
    """
    name = put()
    with psycopg.connect(database_url) as sweeper:
        # a sleep inside the statement, after its snapshot and before it locks its first row
        slow = statement("sweep_blobs").replace(
            "WITH examined", "WITH slept AS MATERIALIZED (SELECT pg_sleep(0.3)), examined", 1
        )
        slow = slow.replace("FROM kronos.blobs WHERE hash", "FROM slept, kronos.blobs WHERE hash", 1)
        sweep = in_background(lambda: sweeper.execute(slow, {"after": b"", "limit": 10}).fetchone())
        wait_for(sweeper, "PgSleep", database_url)
        write_blobs(writer, [BlobWrite(name, DATA, RunId("run"))])
        writer.commit()
        assert sweep()[2] == 0
    assert PostgresBlobs(session, kind="run", owner="run").get(name) == DATA


def test_a_blob_that_was_swept_while_a_writer_waited_is_stored_again(session, put, writer, database_url):
    name = put()
    with psycopg.connect(database_url) as sweeper:
        (_, _, deleted, _) = sweeper.execute(statement("sweep_blobs"), {"after": b"", "limit": 10}).fetchone()
        assert deleted == 1
        writing = in_background(lambda: write_blobs(writer, [BlobWrite(name, DATA, RunId("run"))]))
        wait_for(writer, "transactionid", database_url)
        sweeper.commit()
        writing()
        writer.commit()
    assert PostgresBlobs(session, kind="run", owner="run").get(name) == DATA


def test_a_turn_is_bounded_and_a_round_ends(session, owner, put, monkeypatch):
    monkeypatch.setattr(sweeping, "EXAMINED_MAX", 3)
    for number in range(7):
        put(b"%d" % number * 9_000)
    sweep = Sweep(session)
    assert [sweep.turn().deleted for _ in range(4)] == [3, 3, 1, 0]
    assert stored(owner) == set()
