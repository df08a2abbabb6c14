"""Weekly partitions, made ahead of time by whoever comes first."""

from __future__ import annotations

import itertools
import threading
import uuid

import psycopg

from kronos.storage.leading import PostgresLeadership

LEAVES = """
SELECT c.relname FROM pg_partition_tree('kronos.events') t JOIN pg_class c ON c.oid = t.relid
WHERE t.isleaf ORDER BY 1
"""


def leaves(connection):
    return [name for (name,) in connection.execute(LEAVES).fetchall()]


def test_there_is_one_for_last_week_for_this_one_and_for_four_ahead(owner):
    owner.execute("SET kronos.now = '2030-01-09 12:00+00'")
    owner.execute("SELECT kronos.ensure_partitions()")
    assert [name for name in leaves(owner) if "_2029" in name or "_2030" in name] == [
        "events_standard_20291231",
        "events_standard_20300107",
        "events_standard_20300114",
        "events_standard_20300121",
        "events_standard_20300128",
        "events_standard_20300204",
    ]


def test_making_them_again_makes_none(owner):
    before = leaves(owner)
    assert owner.execute("SELECT kronos.ensure_partitions()").fetchone() == (0,)
    assert leaves(owner) == before
    assert len(before) == 6


def test_a_week_later_one_more_is_made(owner):
    owner.execute("SET kronos.now = '2030-01-09 12:00+00'")
    assert owner.execute("SELECT kronos.ensure_partitions()").fetchone() == (6,)
    owner.execute("SET kronos.now = '2030-01-16 12:00+00'")
    assert owner.execute("SELECT kronos.ensure_partitions()").fetchone() == (1,)


def test_two_workers_that_make_them_at_once_make_each_once(owner, database_url):
    made: list[int] = []

    def make() -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("SET kronos.now = '2033-01-09 12:00+00'")
            row = connection.execute("SELECT kronos.ensure_partitions()").fetchone()
            assert row is not None
            made.append(row[0])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [0, 0, 0, 6]


def test_the_leader_makes_them_with_rights_that_its_work_connections_lack(database_url, owner):
    owner.execute("DROP TABLE kronos.%s" % leaves(owner)[-1])  # noqa: UP031
    PostgresLeadership(database_url).maintain()
    assert len(leaves(owner)) == 6


def test_bounds_meet_without_gap_or_overlap_and_ids_fall_into_their_week(owner):
    bounds = [
        (low, high)
        for low, high in owner.execute(
            "SELECT (regexp_match(b, $$FROM \\('([^']*)$$))[1]::uuid, (regexp_match(b, $$TO \\('([^']*)$$))[1]::uuid"
            " FROM (SELECT pg_get_expr(c.relpartbound, c.oid) AS b FROM pg_partition_tree('kronos.events') t"
            " JOIN pg_class c ON c.oid = t.relid WHERE t.isleaf) x ORDER BY 1"
        ).fetchall()
    ]
    assert len(bounds) == 6
    assert all(high == low for (_, high), (low, _) in itertools.pairwise(bounds))
    (now,) = owner.execute("SELECT kronos.uuid7()").fetchone()
    assert isinstance(now, uuid.UUID)
    assert bounds[1][0] <= now < bounds[1][1]


def test_a_new_retention_class_gets_its_own_tree(owner):
    owner.execute("INSERT INTO kronos.retention_classes VALUES (2, 'short')")
    assert owner.execute("SELECT kronos.ensure_partitions()").fetchone() == (6,)
    assert len([name for name in leaves(owner) if name.startswith("events_short_")]) == 6


def options(connection):
    """The storage options of each leaf that has any."""
    return dict(
        connection.execute(
            "SELECT c.relname, c.reloptions FROM pg_partition_tree('kronos.events') t"
            " JOIN pg_class c ON c.oid = t.relid WHERE t.isleaf AND c.reloptions IS NOT NULL"
        ).fetchall()
    )


IN_USE = ["autovacuum_vacuum_insert_threshold=-1"]
OVER = ["autovacuum_freeze_min_age=0"]


def test_inserts_bring_no_vacuum_to_a_partition_until_its_week_is_over_and_then_one_that_freezes(owner):
    owner.execute("SET kronos.now = '2030-01-13 23:59:59+00'")
    owner.execute("SELECT kronos.ensure_partitions()")
    before = options(owner)
    assert [before["events_standard_" + week] for week in ("20300107", "20300114", "20300204")] == [IN_USE] * 3
    owner.execute("SET kronos.now = '2030-01-14 00:00+00'")
    owner.execute("SELECT kronos.ensure_partitions()")
    after = options(owner)
    assert after["events_standard_20300107"] == OVER
    assert [after["events_standard_" + week] for week in ("20300114", "20300204", "20300211")] == [IN_USE] * 3
    assert owner.execute("SELECT kronos.set_vacuum_of_partitions()").fetchone() == (0,)


def test_partitions_made_before_are_seen_to_by_the_leader_and_what_somebody_set_by_hand_stays(database_url, owner):
    this, ahead, by_hand = leaves(owner)[1:4]
    owner.execute(f"ALTER TABLE kronos.{this} RESET (autovacuum_vacuum_insert_threshold)")
    owner.execute(f"ALTER TABLE kronos.{ahead} RESET (autovacuum_vacuum_insert_threshold)")
    owner.execute(f"ALTER TABLE kronos.{by_hand} SET (autovacuum_vacuum_insert_threshold = 5000)")
    PostgresLeadership(database_url).maintain()
    found = options(owner)
    assert (found[this], found[ahead]) == (IN_USE, IN_USE)
    assert found[by_hand] == ["autovacuum_vacuum_insert_threshold=5000"]


def test_a_partition_that_is_worked_on_is_left_for_the_next_time_and_the_others_are_seen_to(database_url, owner):
    this, ahead = leaves(owner)[1:3]
    for leaf in (this, ahead):
        owner.execute(f"ALTER TABLE kronos.{leaf} RESET (autovacuum_vacuum_insert_threshold)")
    with psycopg.connect(database_url) as vacuum:
        vacuum.execute(f"LOCK TABLE kronos.{this} IN SHARE UPDATE EXCLUSIVE MODE")
        assert owner.execute("SELECT kronos.set_vacuum_of_partitions()").fetchone() == (1,)
        assert this not in options(owner)
    assert owner.execute("SELECT kronos.set_vacuum_of_partitions()").fetchone() == (1,)
    assert options(owner)[this] == IN_USE


def test_rows_are_inserted_while_the_vacuum_of_their_partition_is_set(database_url, owner):
    this = leaves(owner)[1]
    with psycopg.connect(database_url) as setting:
        setting.execute(f"ALTER TABLE kronos.{this} RESET (autovacuum_vacuum_insert_threshold)")
        setting.execute("SELECT kronos.set_vacuum_of_partitions()")
        owner.execute("SET lock_timeout = '100ms'")
        owner.execute("INSERT INTO kronos.events SELECT 1, kronos.uuid7(), 1, 1, 'run_started', '', 0, 0, '\\x', '\\x'")
    assert options(owner)[this] == IN_USE
