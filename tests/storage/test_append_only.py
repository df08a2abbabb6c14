"""No event is ever updated or deleted: neither by the runtime role, nor by the owner, nor through a partition."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors as pg
from psycopg import sql

from kronos.storage.database import ROLE, connect
from tests.storage.conftest import begun, rows_of, scheduled

TABLES = """
SELECT c.relname FROM pg_partition_tree('kronos.events') t JOIN pg_class c ON c.oid = t.relid ORDER BY t.level, 1
"""
CHANGES = ("UPDATE kronos.{} SET body = 'x'", "DELETE FROM kronos.{}", "TRUNCATE kronos.{}")


def tables(connection):
    return [name for (name,) in connection.execute(TABLES).fetchall()]


@pytest.fixture
def leaf(owner, finished_run) -> str:
    """The partition that holds the rows of a finished run."""
    row = owner.execute(
        "SELECT tableoid::regclass::text FROM kronos.events WHERE run_id = %s LIMIT 1", (finished_run,)
    ).fetchone()
    return str(row[0]).removeprefix("kronos.")


@pytest.mark.parametrize("change", CHANGES)
def test_the_owner_cannot_change_history_at_any_level_of_the_tree(owner, leaf, change):
    names = tables(owner)
    assert {"events", "events_standard", leaf} <= set(names)
    before = owner.execute("SELECT count(*) FROM kronos.events").fetchone()
    for name in ("events", "events_standard", leaf):
        with pytest.raises(pg.RestrictViolation, match=r"append-only: (UPDATE|DELETE|TRUNCATE) is refused"):
            owner.execute(sql.SQL(change).format(sql.Identifier(name)))
    assert owner.execute("SELECT count(*) FROM kronos.events").fetchone() == before


def test_every_leaf_refuses_truncate_an_empty_one_too(owner):
    for name in tables(owner):
        with pytest.raises(pg.RestrictViolation):
            owner.execute(sql.SQL("TRUNCATE kronos.{}").format(sql.Identifier(name)))


def test_replication_mode_does_not_switch_the_guards_off(owner, leaf):
    try:
        owner.execute("SET session_replication_role = replica")
    except pg.InsufficientPrivilege:
        pytest.skip("this login may not try")
    for change in CHANGES:
        for name in ("events", "events_standard", leaf):
            with pytest.raises(pg.RestrictViolation):
                owner.execute(sql.SQL(change).format(sql.Identifier(name)))


def test_the_runtime_role_has_no_right_to_change_history_on_any_table(database_url, leaf):
    with connect(database_url, purpose="test") as connection:
        assert connection.execute("SELECT current_user::text").fetchone() == (ROLE,)
        for name in tables(connection):
            for change in CHANGES:
                with pytest.raises(pg.InsufficientPrivilege):
                    connection.execute(sql.SQL(change).format(sql.Identifier(name)))


def test_the_runtime_role_may_not_remove_the_guards(database_url, leaf):
    with connect(database_url, purpose="test") as connection:
        for attempt in (
            "DROP TRIGGER append_only ON kronos.events",
            "ALTER TABLE kronos.events DISABLE TRIGGER ALL",
            "DROP TABLE kronos.events",
            f"DROP TABLE kronos.{leaf}",
            "UPDATE kronos.schema_version SET min_code = 0",
            "DELETE FROM kronos.journal_segments",
        ):
            with pytest.raises(pg.InsufficientPrivilege):
                connection.execute(attempt)


def test_partitions_made_later_are_guarded_like_the_first(owner, database_url):
    owner.execute("SET kronos.now = '2031-06-04 12:00+00'")
    assert owner.execute("SELECT kronos.ensure_partitions()").fetchone() == (6,)
    later = [name for name in tables(owner) if "2031" in name]
    assert len(later) == 6
    with connect(database_url, purpose="test") as connection:
        for name in later:
            with pytest.raises(pg.RestrictViolation):
                owner.execute(sql.SQL("TRUNCATE kronos.{}").format(sql.Identifier(name)))
            with pytest.raises(pg.InsufficientPrivilege):
                connection.execute(sql.SQL("DELETE FROM kronos.{}").format(sql.Identifier(name)))
    modes = owner.execute(
        "SELECT DISTINCT tgenabled::text FROM pg_trigger t JOIN pg_partition_tree('kronos.events') p"
        " ON p.relid = t.tgrelid WHERE NOT tgisinternal OR tgname LIKE 'append_only%'"
    ).fetchall()
    assert modes == [("A",)]


def test_a_seq_is_written_once(desk):
    run = desk.one()
    desk.write(run, [begun(), scheduled(2)])
    again = rows_of(run, [begun(), scheduled(2)])
    verdict = desk.flush(rows=again)
    assert list(verdict.rejected) == [again[0].run]
    assert "duplicate key" in verdict.rejected[again[0].run]


def test_an_event_of_no_known_week_is_refused_not_misplaced(owner):
    with pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
        owner.execute(
            "INSERT INTO kronos.events VALUES (1, '00000000-0000-7000-8000-000000000000', 1, 1, 'run_started', '', 0,"
            " 1, '{}', '')"
        )
