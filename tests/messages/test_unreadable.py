"""Commands whose bytes were damaged in the inbox: each costs its own sender, and nobody else."""

from __future__ import annotations

import threading

import psycopg
import pytest

from kronos import step, wait_for_signal, workflow
from kronos.app.fsck.check import Fsck, reading_connection
from kronos.core.state import Phase

DAMAGED = {
    "cancel": b"{",
    "pause": b"",
    "resume": b"[]",
    "signal": b'{"name":"n"}',
    "decide": b'{"step":"s","approved":"perhaps"}',
    "attribute": b'{"a":[1]}',
    "adopt": b"null",
    "outcome": b'{"step":1}',
    "outcomes": b'[{"step":"s"',
    "child_ended": b'{"$blob":',
}
MISSING = b'{"step":"s","attempt":1,"child":"c","phase":"completed","output":{"$blob":"%s","size":9}}' % (b"0" * 64)


@workflow(version="1")
def listening() -> int:
    return wait_for_signal("n", int)


@step
def twice(number: int) -> int:
    return 2 * number


@workflow(version="1")
def plain(number: int) -> int:
    return twice(number)


@pytest.fixture
def plant(module_url):
    """Put a command into an inbox as a sender does, with bytes that no sender writes."""

    def plant(run, kind, body):
        with psycopg.connect(module_url, autocommit=True) as connection, connection.transaction():
            connection.execute("UPDATE kronos.runs SET inbox_n = inbox_n + 1, wake_at = NULL WHERE id = %s", (run,))
            connection.execute(
                "INSERT INTO kronos.run_inbox (run_id, command_id, kind, body) VALUES (%s, gen_random_uuid(), %s, %s)",
                (run, kind, body),
            )

    return plant


def found(talk, run):
    with reading_connection(talk.url) as connection:
        return list(Fsck(connection, talk.app.blobs).check(run))


@pytest.mark.parametrize(("kind", "body"), [*DAMAGED.items(), ("child_ended", MISSING)])
def test_a_command_that_cannot_be_read_is_put_aside_on_record_and_its_run_goes_on(talk, plant, kind, body):
    run = talk.start(listening)
    talk.parked(run)
    plant(run, kind, body)
    (aside,) = talk.until(run, lambda state: state.notes.aside)
    assert aside.why.startswith(f"the {kind} command ")
    assert aside.why in [remark.what.partition(": ")[2] for remark in talk.app.doctor(run)]
    talk.app.signal(run, "n", 4)
    assert talk.result(run) == 4
    row = talk.row(run)
    assert row["inbox_n"] == row["inbox_seen"] == 2
    assert [(each.check, each.row) for each in found(talk, run)] == [("command", f"events: run {run} seq {aside.seq}")]


def test_a_damaged_command_stops_neither_the_worker_nor_another_run(talk, plant):
    damaged, well = talk.start(listening), talk.start(listening)
    for run in (damaged, well):
        talk.parked(run)
    for kind, body in DAMAGED.items():
        plant(damaged, kind, body)
    runs = [talk.start(plain, {"number": number}) for number in range(20)]
    assert [talk.result(run) for run in runs] == [2 * number for number in range(20)]
    talk.app.signal(well, "n", 1)
    assert talk.result(well) == 1
    talk.until(damaged, lambda state: len(state.notes.aside) == len(DAMAGED))
    talk.app.cancel(damaged)
    assert talk.end(damaged).phase is Phase.CANCELLED
    assert talk.row(damaged)["takeovers"] == 0


def test_a_damaged_command_that_came_while_its_run_was_at_work_does_not_keep_it_from_ending(talk, plant):
    gate, begun = threading.Event(), threading.Event()

    @step
    def work(number: int) -> int:
        begun.set()
        assert gate.wait(15)
        return number

    @workflow(version="1")
    def working(number: int) -> int:
        return work(number)

    run = talk.start(working, {"number": 3})
    assert begun.wait(15)
    plant(run, "cancel", b'{"by":"\xff"}')
    talk.until(run, lambda state: state.notes.aside)
    gate.set()
    assert talk.result(run) == 3
