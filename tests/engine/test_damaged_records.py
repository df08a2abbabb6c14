"""Rows that were damaged in the store cost the run that they belong to, and nobody else."""

from __future__ import annotations

import time

import psycopg
import pytest

from kronos import step, wait_for_signal, workflow
from kronos.app.fsck.check import Fsck, reading_connection
from tests.engine.test_parking import parked, row
from tests.upkeep.faults import with_guards_down


@step
def long_text(n: int) -> str:
    return "z" * 20_000 + str(n)


@step
def ending(text: str, said: int) -> int:
    return int(text[20_000:]) + said


@workflow(version="1")
def asking(n: int) -> int:
    return ending(long_text(n), wait_for_signal("n", int))


@workflow(version="1")
def telling(n: int) -> str:
    return long_text(n)


@pytest.fixture
def owner(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def completed(engine, *runs):
    return [engine.app.wait(run, 20).phase.value for run in runs] == ["completed"] * len(runs)


def history(owner, run):
    def change():
        owner.execute("UPDATE kronos.events SET body = '{' WHERE run_id = %s AND seq > 1", (run,))

    with_guards_down(owner, change)


def value(owner, run):
    owner.execute("DELETE FROM kronos.blobs WHERE hash IN (SELECT blob FROM kronos.blob_refs WHERE owner = %s)", (run,))


def input_(owner, run):
    owner.execute("UPDATE kronos.runs SET input = '{' WHERE id = %s", (run,))


def changes(owner, run):
    owner.execute("UPDATE kronos.runs SET changes = '{' WHERE id = %s", (run,))


@pytest.mark.parametrize("damage", [value, changes])
def test_a_run_that_cannot_go_on_from_its_record_fails_alone(make_engine, database_url, owner, damage):
    first = make_engine(asking)
    damaged, well = (first.app.start(asking, {"n": n}) for n in (1, 2))
    for run in (damaged, well):
        parked(database_url, run)
    if damage is changes:
        damaged = first.app.fork(damaged, at_seq=row(database_url, damaged)["head_seq"])
        parked(database_url, damaged)
    first.close(1)
    damage(owner, damaged)
    engine = make_engine(asking, telling)
    life = engine._worker.worker.incarnation
    for run in (damaged, well):
        engine.app.signal(run, "n", 5)
    ended = engine.app.wait(damaged, 20)
    assert ended.phase == "failed"
    assert "cannot go on from its record: " in ended.failure.message
    assert completed(engine, well, engine.app.start(telling, {"n": 1}))
    assert engine._worker.worker.incarnation == life


def test_a_run_whose_input_is_damaged_before_it_begins_fails_alone(make_app, make_engine, owner):
    app = make_app(telling)
    runs = [app.start(telling, {"n": n}) for n in range(3)]
    input_(owner, runs[1])
    engine = make_engine(telling)
    ended = engine.app.wait(runs[1], 20)
    assert ended.phase == "failed"
    assert completed(engine, runs[0], runs[2])


def test_a_run_whose_history_cannot_be_read_is_put_aside_and_named(make_engine, database_url, owner):
    engine = make_engine(asking, telling)
    damaged, *well = (engine.app.start(asking, {"n": n}) for n in range(4))
    for run in (damaged, *well):
        parked(database_url, run)
    life = engine._worker.worker.incarnation
    history(owner, damaged)
    for run in (damaged, *well):
        engine.app.signal(run, "n", 5)
    assert completed(engine, *well, engine.app.start(telling, {"n": 1}))
    until = time.monotonic() + 10
    while (aside := row(database_url, damaged))["owner"] is not None or aside["sleep"].total_seconds() < 500:
        assert time.monotonic() < until, aside
        time.sleep(0.01)
    assert engine._worker.worker.incarnation == life
    said = [remark.what for remark in (*engine.app.doctor(damaged), *engine.app.doctor())]
    assert any("its history cannot be read" in what for what in said), said
    assert any(f"run {damaged} was put aside" in what for what in said), said
    with reading_connection(database_url) as connection:
        assert list(Fsck(connection, engine.app.blobs).check(damaged))
