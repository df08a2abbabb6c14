"""An edited, missing, swapped or truncated history is found, and the finding names run and seq."""

from __future__ import annotations

import psycopg
import pytest

from kronos.core.chaining import head_after, head_after_body
from kronos.core.events import Event, Kind, StepFacts, encode_facts
from kronos.errors import CorruptHistory, NotFound
from kronos.kernel.hashing import GENESIS


@pytest.fixture
def tamper(owner):
    """Change history as only a superuser can: with the guards taken down."""
    (is_superuser,) = owner.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if not is_superuser:
        pytest.skip("this login is no superuser")

    def change(statement: str, *values: object) -> None:
        with owner.transaction():
            for table in owner.execute(
                "SELECT relid::regclass::text FROM pg_partition_tree('kronos.events')"
            ).fetchall():
                owner.execute(f"ALTER TABLE {table[0]} DISABLE TRIGGER ALL")
            cursor = owner.execute(statement, values)
            assert cursor.rowcount >= 1

    return change


def rows(owner, run):
    return owner.execute(
        "SELECT seq, count, kind::text, body, hash FROM kronos.events WHERE run_id = %s ORDER BY seq", (run,)
    ).fetchall()


def test_an_untouched_history_verifies_to_its_last_seq(app, finished_run):
    assert app.history.verify(finished_run) == 12


def test_an_edited_body_is_found_at_its_seq(app, finished_run, owner, tamper):
    seq = rows(owner, finished_run)[1][0]
    tamper(
        "UPDATE kronos.events SET body ="
        " convert_to(replace(convert_from(body, 'UTF8'), '\"output\":6', '\"output\":7'),"
        " 'UTF8') WHERE run_id = %s AND seq = %s",
        finished_run,
        seq,
    )
    with pytest.raises(CorruptHistory, match=f"run {finished_run}: the event at seq {seq} ") as found:
        app.history.verify(finished_run)
    assert found.value.facts == {"run_id": finished_run, "seq": seq}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"scheduled":"soon"}', b"\xff\x00"])
def test_a_body_that_is_no_longer_readable_is_found_at_its_seq(app, finished_run, owner, tamper, body):
    seq = rows(owner, finished_run)[1][0]
    tamper("UPDATE kronos.events SET body = %s WHERE run_id = %s AND seq = %s", body, finished_run, seq)
    with pytest.raises(CorruptHistory, match=f"run {finished_run}: .*seq {seq} ") as found:
        app.history.verify(finished_run)
    assert (found.value.facts["run_id"], found.value.facts["seq"]) == (finished_run, seq)


@pytest.mark.parametrize(
    ("column", "value"),
    [("step", "'other'"), ("attempt", "attempt + 1"), ("at_ns", "at_ns + 1"), ("kind", "'step_failed'")],
)
def test_every_column_is_covered_by_the_chain(app, finished_run, owner, tamper, column, value):
    seq = rows(owner, finished_run)[1][0]
    tamper(f"UPDATE kronos.events SET {column} = {value} WHERE run_id = %s AND seq = %s", finished_run, seq)
    with pytest.raises(CorruptHistory, match=f"seq {seq} "):
        app.history.verify(finished_run)


def test_a_deleted_row_is_found_where_it_is_missing(app, finished_run, owner, tamper):
    before, missing, after = (row[0] for row in rows(owner, finished_run)[:3])
    tamper("DELETE FROM kronos.events WHERE run_id = %s AND seq = %s", finished_run, missing)
    with pytest.raises(CorruptHistory, match=f"run {finished_run}: seq {before} is followed by {missing + 1}") as found:
        app.history.verify(finished_run)
    assert found.value.facts["seq"] == after


def test_swapped_rows_are_found(app, finished_run, owner, tamper):
    first, second = (row[0] for row in rows(owner, finished_run)[1:3])
    tamper(
        "UPDATE kronos.events e SET (kind, step, attempt, at_ns, body, hash) = (o.kind, o.step, o.attempt, o.at_ns,"
        " o.body, o.hash) FROM kronos.events o WHERE e.run_id = %s AND o.run_id = e.run_id"
        " AND ((e.seq = %s AND o.seq = %s) OR (e.seq = %s AND o.seq = %s))",
        finished_run,
        first,
        second,
        second,
        first,
    )
    with pytest.raises(CorruptHistory, match=f"seq {first} "):
        app.history.verify(finished_run)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_truncated_tail_is_found(app, finished_run, owner, tamper, kept):
    last = rows(owner, finished_run)[-1][0]
    seq = ([0] + [row[0] for row in rows(owner, finished_run)])[kept]
    tamper("DELETE FROM kronos.events WHERE run_id = %s AND seq > %s", finished_run, seq)
    with pytest.raises(CorruptHistory, match=f"run {finished_run}: events {seq + 1} to {last} are missing") as found:
        app.history.verify(finished_run)
    assert found.value.facts["seq"] == seq


def test_a_history_that_was_forged_consistently_is_found_by_the_head_on_the_runs_row(app, finished_run, owner, tamper):
    head, last = GENESIS, 0
    for event in app.history.events(finished_run):
        body = encode_facts(event.facts).replace(b'"output":12', b'"output":13')
        head, last = head_after_body(head, event, body), event.seq
        tamper(
            "UPDATE kronos.events SET body = %s, hash = %s WHERE run_id = %s AND seq = %s",
            body,
            head,
            finished_run,
            event.seq,
        )
    with pytest.raises(CorruptHistory, match=f"run {finished_run}: .*seq {last} "):
        app.history.verify(finished_run)


def test_events_after_the_end_of_a_run_are_found(app, finished_run, owner):
    last = rows(owner, finished_run)[-1]
    event = Event(seq=last[0] + 1, kind=Kind.STEP_SCHEDULED, at=1, facts=StepFacts(), step="more", attempt=1)
    owner.execute(
        "INSERT INTO kronos.events VALUES (1, %s, %s, 1, %s, 'more', 1, 1, %s, %s)",
        (finished_run, event.seq, str(event.kind), encode_facts(event.facts), head_after(last[4], event)),
    )
    with pytest.raises(CorruptHistory, match=f"seq {event.seq} "):
        app.history.verify(finished_run)


def test_the_primary_key_and_the_constraints_keep_seq_unique_and_positive(owner, finished_run):
    with pytest.raises(psycopg.errors.UniqueViolation):
        owner.execute(
            "INSERT INTO kronos.events SELECT * FROM kronos.events WHERE run_id = %s AND seq = 1", (finished_run,)
        )
    for seq, count in ((0, 1), (-1, 1), (99, 0), (99, 6)):
        with pytest.raises(psycopg.errors.CheckViolation):
            owner.execute(
                "INSERT INTO kronos.events VALUES (1, %s, %s, %s, 'run_started', '', 0, 1, '{}', '')",
                (finished_run, seq, count),
            )


def test_an_unknown_run_is_not_found(app):
    with pytest.raises(NotFound, match="kronos runs list"):
        app.history.verify("01890a5d-ac96-774b-bcce-b302099a8057")
