"""What a worker's looks cost that it takes again and again, and that mostly find nothing."""

from __future__ import annotations

from kronos.storage.statements import statement
from tests.storage.conftest import doubled

OWNED = 1_000


def test_the_runs_of_the_dead_are_given_back_without_reading_those_of_the_living(app, make_desk, owner):
    living, dying = make_desk(), make_desk()
    app.start_many(doubled, [{"number": 1}] * (OWNED + 3))
    assert len(living.claim(OWNED)) == OWNED
    lost = {run.id for run in dying.claim(3)}
    owner.execute("ANALYZE kronos.runs")
    owner.execute("UPDATE kronos.incarnations SET dead_at = kronos.now() WHERE id = %s", (dying.incarnation,))

    with owner.transaction():
        before = rows_read(owner)
        released = {str(row[0]) for row in owner.execute(statement("release_lost"))}
        read = rows_read(owner) - before

    assert released == lost
    assert read < 20
    left = owner.execute("SELECT owner, count(*) FROM kronos.runs WHERE owner IS NOT NULL GROUP BY owner").fetchall()
    assert left == [(living.incarnation, OWNED)]


def test_a_look_into_an_empty_inbox_reads_none_of_the_owned_runs(app, desk, owner):
    app.start_many(doubled, [{"number": 1}] * OWNED)
    claimed = desk.claim(OWNED)
    owner.execute("ANALYZE kronos.runs")

    with owner.transaction():
        found = owner.execute(statement("read_inbox"), {"incarnation": desk.incarnation}).fetchall()
        read = rows_read(owner)

    assert (len(claimed), found, read) == (OWNED, [], 0)
    app.cancel(claimed[7].id, reason="not wanted")
    assert [command.run_id for command in desk.queue.commands(desk.incarnation)] == [claimed[7].id]


def rows_read(owner):
    """Return how many rows of `runs` this transaction has read."""
    (read,) = owner.execute(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_all_tables WHERE relid = 'kronos.runs'::regclass"
    ).fetchone()
    return read
