"""Who owns a run, and what only its owner may do."""

from __future__ import annotations

import threading
import uuid

import msgspec
import psycopg
import pytest

from kronos.core.state import Phase
from kronos.errors import LeaseLost, Unavailable
from kronos.ports.queue import Head, RunRequest, Takeover
from kronos.storage.database import Session
from kronos.storage.queue import PostgresQueue
from kronos.storage.submission import Submission
from tests.storage.conftest import begun, completed, doubled, doubled_twice, end, rows_of, scheduled


def kill(owner, desk) -> None:
    owner.execute(
        "UPDATE kronos.heartbeats SET at = at - interval '1 hour' WHERE incarnation = %s", (desk.incarnation,)
    )


def row_of(owner, run) -> dict[str, object]:
    cursor = owner.execute("SELECT * FROM kronos.runs WHERE id = %s", (run.id,))
    return dict(zip([column.name for column in cursor.description], cursor.fetchone(), strict=True))


def test_a_run_is_claimed_once_however_many_ask_at_once(app, make_desk):
    ids = app.start_many(doubled, [{"number": n} for n in range(200)])
    desks = [make_desk() for _ in range(4)]
    claimed: list[str] = []

    def claim(desk) -> None:
        while found := desk.claim(7):
            claimed.extend(run.id for run in found)

    threads = [threading.Thread(target=claim, args=(desk,)) for desk in desks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(ids)


def test_claiming_passes_over_what_another_transaction_holds(app, desk, owner):
    held, free = app.start(doubled, {"number": 1}), app.start(doubled, {"number": 2})
    with psycopg.connect(app.url) as other:
        other.execute("SELECT 1 FROM kronos.runs WHERE id = %s FOR UPDATE", (held,))
        assert [run.id for run in desk.claim()] == [free]
    assert [run.id for run in desk.claim()] == [held]


def test_the_oldest_wish_is_claimed_first(app, desk):
    ids = [app.start(doubled, {"number": n}) for n in range(5)]
    assert [run.id for run in desk.claim(3)] == ids[:3]
    assert [run.id for run in desk.claim(3)] == ids[3:]


def test_a_run_that_is_started_at_hand_is_owned_at_once(app, desk, owner):
    request = RunRequest(desk.definition(), b'{"number":7}')
    run, claimed = desk.queue.start(desk.incarnation, request, [request.definition], 10)
    assert [(each.id, each.input, each.claims) for each in claimed] == [(run, b'{"number":7}', 1)]
    assert row_of(owner, claimed[0])["owner"] == desk.incarnation


def test_what_was_started_before_is_claimed_before_and_others_hear_of_the_rest(app, desk, owner):
    before = [app.start(doubled, {"number": n}) for n in range(3)]
    owner.execute("LISTEN kronos_work")
    request = RunRequest(desk.definition(), b'{"number":7}')
    run, claimed = desk.queue.start(desk.incarnation, request, [request.definition], 2)
    assert [each.id for each in claimed] == before[:2]
    assert [notice.payload for notice in owner.notifies(timeout=5, stop_after=1)] == ["runs"]
    assert [each.id for each in desk.claim()] == [before[2], run]


def test_nothing_is_started_for_the_dead(app, desk, owner):
    desk.queue.retire(desk.incarnation, "stopped")
    request = RunRequest(desk.definition(), b'{"number":7}')
    with pytest.raises(LeaseLost):
        desk.queue.start(desk.incarnation, request, [request.definition], 10)
    assert owner.execute("SELECT count(*) FROM kronos.runs").fetchone() == (0,)


def test_only_runs_of_the_definitions_asked_for_are_claimed(app, desk):
    app.serve(doubled_twice)
    other = app.start(doubled_twice, {"number": 1})
    mine = app.start(doubled, {"number": 1})
    assert [run.id for run in desk.claim(of=doubled)] == [mine]
    assert [run.id for run in desk.claim(of=doubled_twice)] == [other]
    assert desk.queue.claim(desk.incarnation, [], 10) == []


def test_many_wishes_keep_their_order_and_each_its_input(app, desk):
    ids = app.start_many(doubled, [{"number": n} for n in range(50)])
    inputs = {run.id: run.input for run in desk.claim(50)}
    assert [inputs[run_id] for run_id in ids] == [b'{"number":%d}' % n for n in range(50)]


def test_a_claim_says_what_the_owner_must_know(desk):
    run = desk.one({"number": 5})
    assert (run.workflow, run.version, run.input) == ("doubled", "1", b'{"number":5}')
    assert (run.claims, run.lost_owner, run.takeovers, run.inbox_seen) == (1, None, 0, 0)


def test_a_wish_for_a_run_that_is_locked_for_long_says_so_and_can_be_repeated(app, desk):
    run = app.start(doubled, {"number": 1})
    session = Session(app.url, purpose="client")
    with session.connection() as connection:
        connection.execute("SET lock_timeout = '20ms'")
    client = Submission(session)
    with psycopg.connect(app.url) as other:
        other.execute("SELECT 1 FROM kronos.runs WHERE id = %s FOR UPDATE", (run,))
        with pytest.raises(Unavailable, match="try again") as refused:
            client.send(run, "cancel", b"{}")
        assert refused.value.facts["reason"] == "locked"
    assert client.send(run, "cancel", b"{}")
    session.close()


# ── ends ──


def test_an_end_is_written_with_its_run_in_one_flush(desk, app, owner):
    run = desk.one()
    rows = rows_of(run, [begun(), completed(2)])
    verdict = desk.flush(rows=rows, ended=[end(run, rows[-1])])
    assert (verdict.refused, verdict.rejected) == (frozenset(), {})
    line = app.history.run(run.id)
    assert (line.phase, line.output, line.head_seq, line.owner) == (Phase.COMPLETED, b"42", 2, None)
    assert app.history.verify(run.id) == 2


def test_a_run_with_an_unseen_command_stays_open_and_its_end_is_left_out(desk, app, owner):
    run = desk.one()
    app.cancel(run.id, reason="changed my mind")
    rows = rows_of(run, [begun(), completed(2)])
    verdict = desk.flush(rows=rows, ended=[end(run, rows[-1], seen=0)])
    assert verdict.refused == {uuid.UUID(run.id)}
    assert app.history.run(run.id).phase is Phase.RUNNING
    assert [event.seq for event in app.history.events(run.id)] == [1]

    (command,) = desk.queue.commands(desk.incarnation)
    assert (command.run_id, command.kind) == (run.id, "cancel")
    again = desk.flush(rows=rows[1:], ended=[end(run, rows[-1], seen=1)], drained=[command.id])
    assert again.refused == frozenset()
    assert desk.queue.commands(desk.incarnation) == []
    assert app.history.verify(run.id) == 2


def test_one_refused_end_does_not_hold_up_the_others_in_its_flush(desk, app):
    waiting, done = desk.one(), desk.one()
    app.cancel(waiting.id)
    rows = {run.id: rows_of(run, [begun(), completed(2)]) for run in (waiting, done)}
    verdict = desk.flush(
        rows=rows[waiting.id] + rows[done.id],
        ended=[end(run, rows[run.id][-1]) for run in (waiting, done)],
    )
    assert verdict.refused == {uuid.UUID(waiting.id)}
    assert app.history.run(done.id).phase is Phase.COMPLETED


def test_a_command_reaches_an_open_run_once_per_command_id(desk, app):
    session = Session(app.url, purpose="test")
    submission = Submission(session)
    run = desk.one()
    same = uuid.uuid4()
    assert submission.send(run.id, "cancel", b"{}", command_id=same)
    submission.send(run.id, "cancel", b"{}", command_id=same)
    assert len(desk.queue.commands(desk.incarnation)) == 1
    rows = rows_of(run, [begun(), completed(2)])
    verdict = desk.flush(rows=rows, ended=[end(run, rows[-1], seen=1)])
    assert verdict.refused == frozenset(), "the repetition was counted"
    assert not submission.send(run.id, "cancel", b"{}")
    session.close()


# ── fencing ──


def test_a_silent_incarnation_is_declared_dead_and_its_runs_are_free(make_desk, owner, app):
    silent, heir = make_desk(lease_s=0.05), make_desk()
    run = silent.one()
    kill(owner, silent)
    assert heir.queue.reap() == 1
    (again,) = heir.claim()
    assert (again.id, again.claims, again.lost_owner) == (run.id, 2, silent.incarnation)


def test_a_renewed_lease_is_not_reaped(make_desk):
    awake, reaper = make_desk(lease_s=30), make_desk()
    run = awake.one()
    awake.queue.renew(awake.incarnation)
    assert reaper.queue.reap() == 0
    awake.write(run, [begun()])


def test_a_dead_incarnation_can_record_nothing(make_desk, owner, app):
    dead, reaper = make_desk(lease_s=0.05), make_desk()
    run = dead.one()
    dead.write(run, [begun()])
    kill(owner, dead)
    reaper.queue.reap()
    rows = rows_of(run, [begun(), scheduled(2)])
    head = Head(uuid.UUID(run.id), 1, rows[0].hash, 0, 1)
    for attempt in (
        lambda: dead.flush(rows=rows[1:]),
        lambda: dead.queue.renew(dead.incarnation),
        dead.claim,
        lambda: dead.queue.release(dead.incarnation, [head]),
        lambda: dead.queue.record_takeovers(dead.incarnation, [Takeover(uuid.UUID(run.id), 0, 0)]),
    ):
        with pytest.raises(LeaseLost, match=f"incarnation {dead.incarnation} was declared dead"):
            attempt()
    assert [event.seq for event in app.history.events(run.id)] == [1]


def test_death_waits_for_the_flush_that_is_under_way(make_desk, owner, app):
    """The reaper takes the fence that every flush holds, so no flush ends after its incarnation's death."""
    slow, reaper = make_desk(lease_s=0.05), make_desk()
    slow.one()
    kill(owner, slow)
    with psycopg.connect(app.url) as flush:
        flush.execute("SELECT pg_advisory_xact_lock_shared(7305, %s::integer)", (slow.incarnation,))
        reaped = threading.Thread(target=reaper.queue.reap)
        reaped.start()
        reaped.join(0.3)
        assert reaped.is_alive()
        (dead,) = owner.execute("SELECT dead_at FROM kronos.incarnations WHERE id = %s", (slow.incarnation,)).fetchone()
        assert dead is None
    reaped.join(10)
    (dead,) = owner.execute("SELECT dead_at FROM kronos.incarnations WHERE id = %s", (slow.incarnation,)).fetchone()
    assert dead is not None


def test_a_backend_that_hangs_with_the_fence_is_ended(make_desk, owner, app):
    hung, reaper = make_desk(lease_s=0.05), make_desk()
    hung.write(hung.one(), [begun()])
    kill(owner, hung)
    (committer,) = hung.queue._committers
    stuck = committer._connection
    stuck.execute("BEGIN")
    stuck.execute("SELECT pg_advisory_xact_lock_shared(7305, %s::integer)", (hung.incarnation,))
    assert reaper.queue.reap() == 1  # it waits a little for the lock, ends the backend, and looks again
    with pytest.raises(psycopg.OperationalError):
        stuck.execute("SELECT 1")


def test_a_worker_that_leaves_in_order_is_not_counted_as_lost(make_desk, app):
    first, second = make_desk(), make_desk()
    run = first.one()
    rows = rows_of(run, [begun()])
    first.flush(rows=rows)
    first.queue.release(first.incarnation, [Head(uuid.UUID(run.id), 1, rows[0].hash, 0, 1)])
    first.queue.retire(first.incarnation, "stopped")
    (again,) = second.claim()
    assert (again.claims, again.lost_owner) == (2, None)
    loaded = second.queue.load([again])[again.id]
    assert [event.seq for event in loaded.events] == [1]
    assert loaded.head == rows[0].hash


def test_what_retires_with_runs_in_hand_leaves_them_as_lost(make_desk):
    first, second = make_desk(), make_desk()
    run = first.one()
    first.queue.retire(first.incarnation, "abandoned")
    assert second.queue.reap() == 1
    (again,) = second.claim()
    assert (again.id, again.lost_owner) == (run.id, first.incarnation)


# ── commits ──


def test_a_value_that_the_database_refuses_costs_its_own_run_alone(desk, app):
    good, bad = [desk.one() for _ in range(2)]
    rows = rows_of(good, [begun(), scheduled(2)])
    guilty = [msgspec.structs.replace(row, step="nul\x00") for row in rows_of(bad, [begun(), scheduled(2)])]
    verdict = desk.flush(rows=rows + guilty)
    assert list(verdict.rejected) == [uuid.UUID(bad.id)]
    assert app.history.verify(good.id) == 2
    assert app.history.events(bad.id) == []


def test_a_flush_whose_answer_was_lost_is_not_written_twice(desk, app, owner, monkeypatch):
    """COMMIT happened, the connection died before its answer: the flush's own row says so."""
    run = desk.one()
    rows = rows_of(run, [begun(), scheduled(2)])
    desk.flush(rows=rows[:1])
    (committer,) = desk.queue._committers
    attempt, attempts = committer._attempt, []

    def attempt_and_break(connection, incarnation, flush):
        verdict = attempt(connection, incarnation, flush)
        attempts.append(flush.number)
        if len(attempts) == 1:
            connection.close()
            raise psycopg.OperationalError("the answer to COMMIT was lost")
        return verdict

    monkeypatch.setattr(committer, "_attempt", attempt_and_break)
    verdict = desk.flush(rows=rows[1:])
    assert (verdict.refused, verdict.rejected) == (frozenset(), {})
    assert len(attempts) == 1
    assert app.history.verify(run.id) == 2


def test_a_flush_whose_connection_died_before_commit_is_sent_again(desk, app, owner, monkeypatch):
    run = desk.one()
    rows = rows_of(run, [begun(), scheduled(2)])
    desk.flush(rows=rows[:1])
    (committer,) = desk.queue._committers
    ended = owner.execute("SELECT pg_terminate_backend(%s)", (committer._backend[0],)).fetchone()
    assert ended == (True,)
    verdict = desk.flush(rows=rows[1:])
    assert (verdict.refused, verdict.rejected) == (frozenset(), {})
    assert app.history.verify(run.id) == 2


def test_the_clock_is_the_databases(desk, owner):
    assert isinstance(desk.queue, PostgresQueue)
    (before,) = owner.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1e9)::bigint").fetchone()
    now = desk.queue.clock_ns()
    (after,) = owner.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1e9)::bigint").fetchone()
    assert before - 1_000 <= now <= after
