"""A partition goes when all its runs have ended and nobody keeps them; what surviving forks share stays readable.

Each test has a database of its own whose runs began and ended long ago: the database's clock is set while they run.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from kronos import step, workflow
from kronos.app import Kronos
from kronos.app.keeping import ROUND_S, SETTLE_S, SWEEP_S, Expiring, Sweeping
from kronos.errors import Conflict, InvalidInput, NotFound, Unavailable
from kronos.ports.leading import NodeId, Term
from kronos.settings import Settings
from kronos.storage.statements import statement
from kronos.storage.sweeping import Sweep

LONG_AGO = "2026-01-07 12:00+00"
SIZE = 10_000


@step
def text(size: int) -> str:
    return "y" * size


@step
def length(text: str) -> int:
    return len(text)


@step
def doubled(number: int) -> int:
    return 2 * number


@workflow(version="1", retention="research")
def research(size: int) -> int:
    return doubled(length(text(size)))


@workflow(version="1")
def kept(size: int) -> int:
    return doubled(length(text(size)))


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[Kronos]:
    with Kronos.open(Settings(database_url=database_url, data_dir=tmp_path, worker_concurrency=2)) as opened:
        opened.upkeep.retention.set("research", keep_s=86_400.0)
        opened.serve(research, kept)
        yield opened


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def old(app: Kronos, owner: psycopg.Connection[Any]) -> Any:
    """Moves a run that has ended, with all that belongs to it, into a week long ago."""

    def age(run: str) -> str:
        with owner.transaction():
            owner.execute("SET CONSTRAINTS ALL DEFERRED")
            owner.execute(f"SET LOCAL kronos.now = '{LONG_AGO}'")
            owner.execute("SELECT kronos.ensure_partitions()")
            (aged,) = owner.execute("SELECT kronos.uuid7()").fetchone()
            owner.execute(
                "INSERT INTO kronos.runs SELECT (jsonb_populate_record(r, jsonb_build_object('id', %s::text,"
                " 'created_at', kronos.now(), 'finished_at', kronos.now(),"
                " 'rank', (extract(epoch FROM kronos.now()) * 1000000)::bigint))).* FROM kronos.runs r WHERE id = %s",
                (aged, run),
            )
            owner.execute(
                "INSERT INTO kronos.events SELECT retention_class, %s, seq, count, kind, step, attempt, at_ns, body,"
                " hash FROM kronos.events WHERE run_id = %s",
                (aged, run),
            )
            owner.execute(
                "INSERT INTO kronos.blob_refs SELECT blob, kind, %s FROM kronos.blob_refs WHERE owner = %s",
                (str(aged), run),
            )
        return str(aged)

    return age


@pytest.fixture
def done(app: Kronos) -> Any:
    """Starts runs and waits for their ends."""
    worker = app.worker().start()

    def run(of: Any = research, size: int = SIZE, **options: Any) -> str:
        found = app.start(of, {"size": size}, **options)
        app.wait(found, 30)
        return found

    yield run
    worker.stop(1)


def leaves(owner, name="research"):
    return [
        leaf
        for (leaf,) in owner.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ %s ORDER BY 1", (f"^events_{name}_[0-9]",)
        )
    ]


OLD_LEAF = "events_research_20260105"


def test_a_run_is_of_the_class_that_its_start_or_its_workflow_names(app, owner, done):
    runs = [done(), done(kept), done(kept, retention="research")]
    classes = [
        owner.execute(
            "SELECT c.name FROM kronos.runs r JOIN kronos.retention_classes c ON c.id = r.retention_class"
            " WHERE r.id = %s",
            (run,),
        ).fetchone()[0]
        for run in runs
    ]
    assert classes == ["research", "standard", "research"]
    assert [each.runs for each in app.upkeep.retention.classes()] == [1, 2]


def test_an_unknown_class_is_refused_with_those_that_are_known(app):
    with pytest.raises(InvalidInput, match=r"'reserch' is unknown; known: standard, research\. Make it"):
        app.start(kept, {"size": 1}, retention="reserch")

    @workflow(version="1", retention="nowhere")
    def lost(size: int) -> int:
        return length(text(size))

    with pytest.raises(InvalidInput, match="'nowhere' is unknown"):
        app.serve(lost)


@pytest.mark.parametrize(
    ("name", "keep_s", "field"), [("Bad Name", 1.0, "name"), ("x" * 40, 1.0, "name"), ("ok", 0.0, "keep")]
)
def test_a_class_that_cannot_be_is_refused_by_field(app, name, keep_s, field):
    with pytest.raises(InvalidInput) as refused:
        app.upkeep.retention.set(name, keep_s=keep_s)
    assert refused.value.facts["field"] == field


def test_an_expired_partition_goes_with_its_events_and_its_content(app, owner, done, old):
    run = old(done(size=SIZE + 1))
    owner.execute("DELETE FROM kronos.blob_refs WHERE owner NOT IN (%s)", (run,))
    assert OLD_LEAF in leaves(owner)
    assert app.upkeep.retention.run()[:1] == ["events_research_20251229"]
    assert OLD_LEAF not in leaves(owner)
    assert owner.execute("SELECT count(*) FROM kronos.events WHERE run_id = %s", (run,)).fetchone() == (0,)
    assert owner.execute("SELECT count(*) FROM kronos.blob_refs").fetchone() == (0,)
    owner.execute("UPDATE kronos.blobs SET touched = touched - interval '2 hours'")
    assert Sweep(app._session).run().deleted > 0
    line = app.history.run(run)
    assert (line.phase, line.output) == ("completed", b"20002")
    with pytest.raises(NotFound, match=f"the history of run {run} has expired"):
        app.history.state_at(run)
    with pytest.raises(Conflict, match="has expired"):
        app.fork(run, at_seq=3)


def test_a_partition_with_an_open_run_stays_and_the_run_is_named(app, owner, done, old):
    run = old(done())
    owner.execute(
        "UPDATE kronos.runs SET phase = 'waiting', wake_at = 'infinity', finished_at = NULL WHERE id = %s", (run,)
    )
    app.upkeep.retention.run()
    assert OLD_LEAF in leaves(owner)
    (pinned,) = app.upkeep.retention.due()
    assert (pinned.leaf, pinned.pins, pinned.run, pinned.phase) == (OLD_LEAF, 1, run, "waiting")
    (said,) = [remark for remark in app.doctor() if remark.topic == "retention"]
    assert (said.level, run in said.what) == ("note", True)


def test_a_child_is_kept_while_the_run_that_started_it_is_open(app, owner, done, old):
    run, parent = old(done()), app.start(kept, {"size": 1})
    app.wait(parent, 30)
    started = "UPDATE kronos.runs SET child_of = %s, child_step = 's', child_attempt = 1 WHERE id = %s"
    owner.execute(started, (parent, run))
    owner.execute(
        "UPDATE kronos.runs SET phase = 'waiting', wake_at = 'infinity', finished_at = NULL WHERE id = %s", (parent,)
    )
    app.upkeep.retention.run()
    assert OLD_LEAF in leaves(owner)
    owner.execute("UPDATE kronos.runs SET phase = 'completed', finished_at = kronos.now() WHERE id = %s", (parent,))
    app.upkeep.retention.run()
    assert OLD_LEAF not in leaves(owner)


def test_a_class_that_keeps_for_ever_loses_nothing(app, owner, done, old):
    run = old(done(kept))
    assert all("standard" not in leaf for leaf in app.upkeep.retention.run())
    assert app.history.state_at(run).phase == "completed"


def test_a_run_that_ended_too_recently_keeps_its_partition(app, owner, done, old):
    run = old(done())
    owner.execute("UPDATE kronos.runs SET finished_at = kronos.now() - interval '23 hours' WHERE id = %s", (run,))
    app.upkeep.retention.run()
    assert OLD_LEAF in leaves(owner)


def test_what_a_surviving_fork_shares_is_archived_and_reads_as_before(app, owner, done, old):
    parent = old(done())
    seqs = [event.seq for event in app.history.events(parent)]
    forks = [app.fork(parent, at_seq=seq) for seq in (seqs[1], seqs[2] - 2)]
    for fork in forks:
        assert app.wait(fork, 30).phase == "completed"
    before = [app.history.events(fork) for fork in forks]
    states = [app.history.state_at(fork, seqs[1]) for fork in forks]
    app.upkeep.retention.run()
    assert OLD_LEAF not in leaves(owner)
    with Kronos.open(app.settings) as fresh:
        assert [fresh.history.events(fork) for fork in forks] == before
        assert [fresh.history.state_at(fork, seqs[1]) for fork in forks] == states
        assert fresh.history.events(forks[0], after=seqs[0], limit=2) == before[0][1:3]
        assert fresh.history.verify(forks[1]) == before[1][-1].seq
        owner.execute("UPDATE kronos.blobs SET touched = touched - interval '2 hours'")
        fresh.upkeep.sweep()
        outputs = [fresh.history.state_at(fork).steps["text"].facts.output for fork in forks]
        assert [len(fresh.history.payload(output)) for output in outputs] == [SIZE + 2] * 2
        assert [each.what for each in fresh.upkeep.fsck()] == []


def test_a_fork_of_a_surviving_fork_runs_on_what_is_archived(app, owner, done, old):
    parent = old(done())
    seqs = [event.seq for event in app.history.events(parent)]
    fork = app.fork(parent, at_seq=seqs[1])
    app.wait(fork, 30)
    app.upkeep.retention.run()
    again = app.fork(fork, at_seq=seqs[1])
    assert app.wait(again, 30).output == b"20000"
    assert [event.seq for event in app.history.events(again)][:2] == seqs[:2]
    anew = app.fork(fork, at="text")
    assert app.history.run(anew).parent_seq == seqs[0]
    assert app.wait(anew, 30).output == b"20000"


def test_an_archive_goes_with_the_last_fork_that_stands_on_it(app, owner, done, old):
    parent = old(done())
    fork = app.fork(parent, at_seq=[event.seq for event in app.history.events(parent)][1])
    app.wait(fork, 30)
    app.upkeep.retention.run()
    assert owner.execute("SELECT run_id::text FROM kronos.archives").fetchall() == [(parent,)]
    (own_class,) = owner.execute("SELECT retention_class FROM kronos.runs WHERE id = %s", (fork,)).fetchone()
    at = {"class": own_class, "low": fork, "high": "ffffffff-ffff-ffff-ffff-ffffffffffff"}
    owner.execute(statement("retention/forget_ancestry"), at)
    assert owner.execute("SELECT count(*) FROM kronos.archives").fetchone() == (0,)
    assert owner.execute("SELECT count(*) FROM kronos.blob_refs WHERE kind = 'archive'").fetchone() == (0,)


def test_forking_waits_for_expiry_and_is_then_refused(app, owner, done, old, database_url):
    """The lock that forking takes on its parent and that of retention exclude each other."""
    run = old(done())
    with psycopg.connect(database_url) as retention:
        retention.execute("SELECT 1 FROM kronos.runs WHERE id = %s FOR UPDATE", (run,))
        refused: list[BaseException] = []

        def fork():
            try:
                app.fork(run, at_seq=3)
            except Conflict as error:
                refused.append(error)

        thread = threading.Thread(target=fork)
        thread.start()
        retention.execute("UPDATE kronos.runs SET expired_at = kronos.now() WHERE id = %s", (run,))
        retention.commit()
        thread.join(10)
    assert [type(error) for error in refused] == [Conflict]


def test_detaching_that_is_held_up_is_finished_by_the_next_turn(app, owner, done, old, database_url):
    old(done())
    retention = app.upkeep.retention
    with psycopg.connect(database_url) as reader:
        reader.execute(f"SELECT count(*) FROM kronos.{OLD_LEAF}")
        with pytest.raises(Unavailable, match="is in use"):
            retention.run()
        assert OLD_LEAF in leaves(owner)
    retention.run()
    assert OLD_LEAF not in leaves(owner)


def test_a_class_on_hold_keeps_detached_tables_until_they_are_exported_and_dropped(app, owner, done, old, tmp_path):
    run = old(done())
    retention = app.upkeep.retention
    retention.set("research", keep_s=86_400.0, hold=True)
    assert OLD_LEAF in retention.run()
    assert owner.execute("SELECT count(*) FROM kronos.events WHERE run_id = %s", (run,)).fetchone() == (0,)
    assert OLD_LEAF in retention.held()
    with pytest.raises(InvalidInput, match="is no detached partition"):
        app.upkeep.export_partition(tmp_path / "other", "events_standard")
    written = app.upkeep.export_partition(tmp_path / "out", OLD_LEAF)
    assert (written.runs, written.events, written.steps) == (1, 17, 3)
    outputs = pq.read_table(tmp_path / "out" / "steps.parquet")["output"].to_pylist()
    assert outputs == [json.dumps("y" * SIZE), "10000", "20000"]
    with pytest.raises(InvalidInput, match="is no detached partition"):
        retention.drop("events_standard")
    retention.drop(OLD_LEAF)
    assert OLD_LEAF not in leaves(owner)
    assert OLD_LEAF not in retention.held()


def test_nobody_expires_twice_at_once(app, owner, done, old, database_url):
    old(done())
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(7307)")
        assert app.upkeep.retention.turn() is None
    assert app.upkeep.retention.turn() is not None


def test_the_leader_sweeps_and_expires_aside_once_it_has_settled(app, owner, done, old):
    old(done())
    term = Term(NodeId(1), 1)
    sweeping, expiring = Sweeping(Sweep(app._session)), Expiring(app.upkeep.retention)
    assert (sweeping.act(term), expiring.act(term)) == (SETTLE_S, SETTLE_S)
    assert OLD_LEAF in leaves(owner)
    assert (sweeping.act(term), sweeping.act(term)) == (SWEEP_S, ROUND_S)
    expiring.act(term)
    expiring._thread.join(10)
    expiring.stop()
    assert OLD_LEAF not in leaves(owner)
