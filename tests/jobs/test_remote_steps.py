"""Steps that other workers execute: those that name a queue, and a wide run's share."""

from __future__ import annotations

import os
from collections import Counter

import msgspec
import psycopg
import pytest

from kronos.app import Kronos
from kronos.core.state import Phase, StepStatus
from kronos.errors import WorkflowDefinitionError
from kronos.settings import Settings
from tests.jobs import wide
from tests.jobs.test_killed_workers import make_worker, until

__all__ = ["make_worker"]


@pytest.fixture
def app(database_url, tmp_path):
    with Kronos.open(
        Settings(data_dir=tmp_path, worker_concurrency=4, lease=1.0),
        database_url=database_url,
        workflows=[wide.trained, wide.trained_twice, wide.trained_in_silence, wide.wide],
    ) as opened:
        yield opened


@pytest.fixture
def worker(app):
    made = app.worker().start()
    yield made
    made.stop(5)


def jobs_left(app):
    with psycopg.connect(app.url) as connection:
        return connection.execute("SELECT count(*) FROM kronos.jobs").fetchone()[0]


def test_a_step_that_names_a_queue_is_a_job_there_and_its_outcome_goes_on_in_the_run(app, worker):
    run = app.wait(app.start(wide.trained, {"number": 21}), 20)
    assert (run.phase, msgspec.json.decode(run.output)[0]) == (Phase.COMPLETED, 42)
    app.history.verify(run.id)
    assert jobs_left(app) == 0


def test_it_waits_while_its_queue_is_paused_and_is_shown_as_scheduled(app, worker):
    app.queues.pause("gpu")
    run_id = app.start(wide.trained, {"number": 1})
    until(lambda: app.queues.get("gpu").pending == 1)
    until(lambda: app.history.state_at(run_id).steps.get("train") is not None)
    assert app.history.state_at(run_id).steps["train"].status is StepStatus.SCHEDULED
    assert app.jobs.list() == []
    app.queues.resume("gpu")
    assert app.wait(run_id, 20).phase is Phase.COMPLETED


def test_others_are_told_of_an_offer_in_the_commit_that_makes_it(app, worker):
    app.queues.pause("gpu")
    with psycopg.connect(app.url, autocommit=True) as connection:
        connection.execute("LISTEN kronos_work")
        app.start(wide.trained, {"number": 1})
        until(lambda: app.queues.get("gpu").pending == 1)
        told = list(connection.notifies(timeout=0.2))
    assert [notice.payload for notice in told if notice.payload not in ("", "runs")] == ["jobs"]


def test_a_failed_attempt_elsewhere_is_tried_again_elsewhere(app, worker):
    run = app.wait(app.start(wide.trained_twice, {"number": 5}), 20)
    assert (run.phase, run.output) == (Phase.COMPLETED, b"5")
    assert app.history.state_at(run.id).steps["train_at_the_second_try"].attempt == 2


def test_a_step_that_falls_silent_elsewhere_is_given_up_and_tried_again(app, worker):
    run = app.wait(app.start(wide.trained_in_silence, {"number": 5}), 20)
    assert (run.phase, run.output) == (Phase.COMPLETED, b"2")
    retried = next(event for event in app.history.events(run.id) if event.kind == "step_retried")
    assert (retried.facts.failure.type, retried.facts.failure.cause) == ("HeartbeatTimeout", "timeout")


def test_the_step_of_a_cancelled_run_is_not_executed(app, worker):
    app.queues.pause("gpu")
    run_id = app.start(wide.trained, {"number": 1})
    until(lambda: app.queues.get("gpu").pending == 1)
    app.cancel(run_id)
    assert app.wait(run_id, 20).phase is Phase.CANCELLED
    until(lambda: jobs_left(app) == 0)


def test_an_offer_that_cannot_be_read_is_put_on_record_in_its_run_and_costs_nobody_else(app, worker):
    app.queues.pause("gpu")
    damaged, well = (app.start(wide.trained, {"number": number}) for number in (1, 2))
    until(lambda: app.queues.get("gpu").pending == 2)
    life = worker.worker.incarnation
    with psycopg.connect(app.url, autocommit=True) as connection:
        connection.execute("UPDATE kronos.jobs SET input = '[{' WHERE run_id = %s", (damaged,))
    app.queues.resume("gpu")
    assert app.wait(well, 20).phase is Phase.COMPLETED
    until(lambda: app.history.state_at(damaged).notes.aside)
    assert any("outcomes command" in remark.what for remark in app.doctor(damaged))
    (told,) = [bytes(each.facts.value) for each in app.history.events(damaged) if each.kind == "run_signalled"]
    assert b"offered cannot be read" in told
    app.cancel(damaged)
    assert app.wait(damaged, 20).phase is Phase.CANCELLED
    assert worker.worker.incarnation == life


def test_an_offer_outlives_its_runs_owner_and_is_made_once(app):
    app.queues.pause("gpu")
    first = app.worker().start()
    run_id = app.start(wide.trained, {"number": 3})
    until(lambda: app.queues.get("gpu").pending == 1)
    first.stop(0)
    second = app.worker().start()
    try:
        until(lambda: app.history.run(run_id).owner is not None)
        app.queues.resume("gpu")
        run = app.wait(run_id, 20)
    finally:
        second.stop(5)
    assert msgspec.json.decode(run.output)[0] == 6
    assert app.history.state_at(run_id).steps["train"].attempt == 1
    app.history.verify(run_id)


def test_both_workers_execute_a_wide_run_and_its_owner_alone_writes_its_history(app, worker, make_worker):
    other = make_worker(KRONOS_LEASE="2s")
    until(lambda: worker.worker._life.jobs.peers, 30)
    run = app.wait(app.start(wide.wide, {"numbers": list(range(2_000))}), 60)
    found = msgspec.json.decode(app.history.payload(run.output))
    assert [number for number, _ in found] == list(range(2_000))
    shares = Counter(pid for _, pid in found)
    assert set(shares) == {os.getpid(), other.pid}
    assert min(shares.values()) >= 100, "the shares are the business of benchmarks.fanout"
    app.history.verify(run.id)
    until(lambda: jobs_left(app) == 0)


def test_a_wide_run_survives_the_death_of_the_worker_that_helps_it(app, worker, make_worker):
    other = make_worker()
    until(lambda: worker.worker._life.jobs.peers, 30)
    run_id = app.start(wide.wide, {"numbers": list(range(2_000))})
    until(lambda: any(each.running for each in app._book.keys("steps")))
    other.kill()
    run = app.wait(run_id, 60)
    assert [number for number, _ in msgspec.json.decode(app.history.payload(run.output))] == list(range(2_000))
    steps = app.history.state_at(run_id).steps
    assert all(steps[f"where[{number}]"].status is StepStatus.COMPLETED for number in range(2_000))
    app.history.verify(run_id)


def test_the_queue_of_spread_steps_is_nobodys_to_name():
    from kronos import step

    with pytest.raises(WorkflowDefinitionError, match="queue='steps'"):
        step(queue="steps")(until)
