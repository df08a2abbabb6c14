"""Giving back a run that waits, in the statement that also looks whether there is a message for it."""

from __future__ import annotations

import threading
import uuid

import psycopg
import pytest

from kronos.core.state import Phase
from kronos.ports.queue import Head, Parked
from kronos.storage.statements import statement
from tests.storage.conftest import begun, doubled, rows_of


def parked(run, rows, *, seen=0, wake_ns=None) -> Parked:
    return Parked(Head(uuid.UUID(run.id), rows[-1].seq, rows[-1].hash, seen, 1), wake_ns, run.claims)


def line(owner, run):
    return owner.execute(
        "SELECT phase::text, owner, wake_at::text, inbox_seen, head_seq FROM kronos.runs WHERE id = %s", (run.id,)
    ).fetchone()


def test_a_run_that_waits_for_a_message_is_claimed_once_one_is_there(desk, app, owner):
    run = desk.one()
    rows = rows_of(run, [begun()])
    assert desk.flush(rows=rows, parked=[parked(run, rows)]).kept == frozenset()
    assert line(owner, run) == ("waiting", None, "infinity", 0, 1)
    assert desk.claim() == []
    app.cancel(run.id)
    (again,) = desk.claim()
    assert (again.id, again.claims, again.lost_owner, again.has_commands) == (run.id, 2, None, True)
    assert app.history.run(run.id).phase is Phase.RUNNING


def test_a_run_that_waits_for_a_time_is_claimed_when_it_has_come_and_before_newer_wishes(desk, app, owner):
    run = desk.one()
    rows = rows_of(run, [begun()])
    desk.flush(rows=rows, parked=[parked(run, rows, wake_ns=desk.queue.clock_ns() + 3600 * 10**9)])
    newer = app.start(doubled, {"number": 1})
    assert [each.id for each in desk.claim(1)] == [newer]
    owner.execute("UPDATE kronos.runs SET wake_at = kronos.now() WHERE id = %s", (run.id,))
    newest = app.start(doubled, {"number": 2})
    assert [each.id for each in desk.claim(1)] == [run.id]
    assert [each.id for each in desk.claim(1)] == [newest]


def test_a_run_with_an_unseen_message_is_kept_and_where_it_stands_is_noted(desk, app, owner):
    run, other = desk.one(), desk.one()
    app.cancel(run.id)
    rows, others = rows_of(run, [begun()]), rows_of(other, [begun()])
    verdict = desk.flush(rows=rows + others, parked=[parked(run, rows), parked(other, others)])
    assert verdict.kept == {uuid.UUID(run.id)}
    assert line(owner, run) == ("running", desk.incarnation, None, 0, 1)
    assert line(owner, other) == ("waiting", None, "infinity", 0, 1)


def test_parking_waits_for_a_message_that_is_being_sent(desk, app, owner):
    run = desk.one()
    rows = rows_of(run, [begun()])
    verdicts = []
    with psycopg.connect(app.url) as sender:
        at = {"run": run.id, "command": uuid.uuid4(), "kind": "cancel", "body": b"{}"}
        assert sender.execute(statement("send_to_inbox"), at).fetchone() is not None
        thread = threading.Thread(target=lambda: verdicts.append(desk.flush(rows=rows, parked=[parked(run, rows)])))
        thread.start()
        thread.join(0.2)
        assert verdicts == []
    thread.join()
    assert verdicts[0].kept == {uuid.UUID(run.id)}


@pytest.mark.parametrize("has_message", [False, True])
@pytest.mark.parametrize("is_claimed_again", [False, True])
def test_after_a_lost_answer_the_owner_learns_what_is_still_its_own(
    desk, app, monkeypatch, has_message, is_claimed_again
):
    run = desk.one()
    rows = rows_of(run, [begun()])
    desk.flush(rows=rows)
    (committer,) = desk.queue._committers
    attempt = committer._attempt

    def attempt_and_break(connection, incarnation, flush):
        attempt(connection, incarnation, flush)
        connection.close()
        if is_claimed_again and not has_message:
            assert [each.claims for each in desk.claim()] == [2]
        raise psycopg.OperationalError("the answer to COMMIT was lost")

    monkeypatch.setattr(committer, "_attempt", attempt_and_break)
    if has_message:
        app.cancel(run.id)
    verdict = desk.flush(parked=[parked(run, rows, wake_ns=1)])
    assert verdict.kept == ({uuid.UUID(run.id)} if has_message else frozenset())


def test_twenty_thousand_sleepers_are_not_looked_at_by_a_claim(desk, owner, app):
    run = desk.one()
    rows = rows_of(run, [begun()])
    desk.flush(rows=rows, parked=[parked(run, rows)])
    owner.execute(
        "INSERT INTO kronos.runs (definition, workflow, version, input, phase, wake_at)"
        " SELECT definition, workflow, version, input, 'waiting', 'infinity'"
        " FROM kronos.runs, generate_series(1, 20000) WHERE id = %s",
        (run.id,),
    )
    owner.execute("ANALYZE kronos.runs")
    app.start(doubled, {"number": 1})
    at = {"incarnation": desk.incarnation, "definitions": [desk.definition()], "limit": 10, "low_water": 0}
    plan = owner.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement("claim_runs"), at).fetchone()[0][0]["Plan"]
    assert _rows_read(plan) < 100


def _rows_read(plan) -> int:
    removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    own = (plan["Actual Rows"] + removed) * plan["Actual Loops"] if "Relation Name" in plan else 0
    return own + sum(map(_rows_read, plan.get("Plans", ())))
