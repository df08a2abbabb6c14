"""Ids and time come from the database, and tests may steer both."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest

from kronos.core.events import LEADING, Kind
from kronos.core.state import Phase

MANY = "SELECT kronos.uuid7() FROM generate_series(1, 2000)"


def seeded(connection, seed, count=20):
    connection.execute("SELECT set_config('kronos.seed', %s, false)", (seed,))
    connection.execute("SET kronos.now = '2026-01-01 00:00+00'")
    return [row[0] for row in connection.execute("SELECT kronos.uuid7() FROM generate_series(1, %s)", (count,))]


def test_ids_are_of_version_7_and_of_the_rfc_variant(owner):
    ids = [row[0] for row in owner.execute(MANY)]
    assert {found.version for found in ids} == {7}
    assert {found.variant for found in ids} == {uuid.RFC_4122}
    assert len(set(ids)) == len(ids)


def test_all_four_variant_digits_occur_and_every_random_bit_moves(owner):
    ids = [row[0].int for row in owner.execute(MANY)]
    assert {found >> 60 & 0xF for found in ids} == {0x8, 0x9, 0xA, 0xB}
    ones, zeros = 0, 0
    for found in ids:
        ones |= found
        zeros |= ~found
    random_bits = (1 << 62) - 1
    assert ones & random_bits == random_bits
    assert zeros & random_bits == random_bits


def test_ids_are_ordered_by_the_microsecond_of_their_making(owner):
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = []
    for us in (0, 1, 2, 3, 998, 999, 1000, 1001, 999_999, 1_000_000):
        owner.execute(
            "SELECT set_config('kronos.now', %s, false)", ((start + dt.timedelta(microseconds=us)).isoformat(),)
        )
        made.append(owner.execute("SELECT kronos.uuid7()").fetchone()[0])
    assert made == sorted(made)
    ms = [found.int >> 80 for found in made]
    assert ms[0] == int(start.timestamp() * 1000)
    assert ms[-1] - ms[0] == 1000


def test_a_seed_makes_ids_reproducible_and_another_seed_makes_others(owner):
    first = seeded(owner, "one")
    assert seeded(owner, "one") == first
    assert set(seeded(owner, "two")).isdisjoint(first)
    assert len(set(first)) == len(first)
    assert {found.version for found in first} == {7}


def test_without_a_seed_ids_differ_at_one_frozen_instant(owner):
    owner.execute("SET kronos.now = '2026-01-01 00:00+00'")
    ids = [row[0] for row in owner.execute(MANY)]
    assert len(set(ids)) == len(ids)


def test_now_is_the_setting_where_there_is_one_and_the_clock_elsewhere(owner):
    owner.execute("SET kronos.now = '2001-02-03 04:05:06+00'")
    assert owner.execute("SELECT kronos.now()").fetchone() == (dt.datetime(2001, 2, 3, 4, 5, 6, tzinfo=dt.UTC),)
    owner.execute("SET kronos.now = ''")
    (now,) = owner.execute("SELECT kronos.now()").fetchone()
    assert abs(now - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


def test_the_clock_runs_within_a_transaction(owner):
    with owner.transaction():
        (first,) = owner.execute("SELECT kronos.now()").fetchone()
        owner.execute("SELECT pg_sleep(0.002)")
        (later,) = owner.execute("SELECT kronos.now()").fetchone()
    assert later > first


@pytest.mark.parametrize(("enum", "type_name"), [(Phase, "phase"), (Kind, "event_kind")])
def test_the_words_of_the_schema_are_those_of_the_core(owner, enum, type_name):
    rows = owner.execute("SELECT unnest(enum_range(NULL::kronos.%s))::text" % type_name).fetchall()  # noqa: UP031
    assert {row[0] for row in rows} == {each.value for each in enum}


def test_a_row_may_stand_for_as_many_facts_as_the_longest_kind_has(owner):
    (check,) = owner.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'kronos.events'::regclass"
        " AND conname = 'events_count_check'"
    ).fetchone()
    assert f"<= {max(map(len, LEADING.values()))}" in check
