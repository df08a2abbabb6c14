"""Journals and checkpoints of trading steps."""

from __future__ import annotations

import psycopg
import pytest

from kronos.errors import LeaseLost
from kronos.kernel.hashing import content_hash
from kronos.storage.database import Session
from kronos.storage.recordings import PostgresRecorder


@pytest.fixture
def session(database_url):
    session = Session(database_url, purpose="test")
    yield session
    session.close()


@pytest.fixture
def make_recorder(desk, session):
    run = desk.one()

    def make(**other):
        key = {"run_id": run.id, "step": "backtest", "attempt": 1, "incarnation": desk.incarnation, **other}
        return run, PostgresRecorder(session, **key)

    return make


def seal(recorder, first, data=b"rows"):
    recorder.segment(first_row=first, last_row=first + 9, core_chain=b"c" * 32, user_chain=b"u" * 32, data=data)


def test_segments_come_back_in_order_with_their_bytes(make_recorder, app):
    run, recorder = make_recorder()
    for number in range(3):
        seal(recorder, number * 10, b"segment %d" % number)
    found = app.recordings.segments(run.id, "backtest", 1)
    assert [(each.number, each.first_row, each.last_row) for each in found] == [(0, 0, 9), (1, 10, 19), (2, 20, 29)]
    assert [app.blobs.get(each.blob) for each in found] == [b"segment 0", b"segment 1", b"segment 2"]
    assert app.recordings.segments(run.id, "backtest", 2) == []


def test_checkpoints_come_back_by_row_and_the_latest_of_a_row_counts(make_recorder, app):
    run, recorder = make_recorder()
    for row, data in ((20, b"b"), (10, b"a"), (20, b"c")):
        recorder.checkpoint(row=row, data=data)
    found = app.recordings.checkpoints(run.id, "backtest", 1)
    assert [(each.row, app.blobs.get(each.blob)) for each in found] == [(10, b"a"), (20, b"c")]


def test_deleting_checkpoints_leaves_journal_and_other_steps(make_recorder, app, owner):
    run, recorder = make_recorder()
    _, other = make_recorder(step="second")
    seal(recorder, 0)
    recorder.checkpoint(row=5, data=b"state")
    other.checkpoint(row=5, data=b"state")
    assert app.recordings.delete_checkpoints(run.id, "backtest") == 1
    assert app.recordings.delete_checkpoints(run.id, "backtest") == 0
    assert app.recordings.checkpoints(run.id, "backtest", 1) == []
    assert len(app.recordings.checkpoints(run.id, "second", 1)) == 1
    assert len(app.recordings.segments(run.id, "backtest", 1)) == 1
    refs = owner.execute("SELECT kind, owner, encode(blob, 'hex') FROM kronos.blob_refs WHERE kind = 'checkpoint'")
    assert refs.fetchall() == [("checkpoint", f"{run.id}/second", content_hash(b"state"))]


def test_a_dead_incarnation_records_nothing(make_recorder, desk, owner, app):
    run, recorder = make_recorder()
    seal(recorder, 0)
    desk.queue.retire(desk.incarnation, "lost")
    for record in (lambda: seal(recorder, 10), lambda: recorder.checkpoint(row=3, data=b"late")):
        with pytest.raises(LeaseLost):
            record()
    assert len(app.recordings.segments(run.id, "backtest", 1)) == 1
    assert app.recordings.checkpoints(run.id, "backtest", 1) == []
    assert owner.execute("SELECT count(*) FROM kronos.blobs WHERE hash = %s", (content_hash(b"late"),)).fetchone() == (
        (0,)
    ), "the blob of a refused record is rolled back with it"


def test_a_sealed_segment_is_not_sealed_otherwise(make_recorder, app):
    run, recorder = make_recorder()
    seal(recorder, 0, b"first")
    _, rival = make_recorder()
    with pytest.raises(psycopg.errors.UniqueViolation):
        seal(rival, 0, b"second")
    (found,) = app.recordings.segments(run.id, "backtest", 1)
    assert app.blobs.get(found.blob) == b"first"
