"""KO12: what was given up is listed, looked into, tried again or thrown away."""

from __future__ import annotations

import uuid

import psycopg
import pytest

from kronos.core.jobs import JobState
from kronos.core.state import Phase
from kronos.errors import InvalidInput, NotFound
from kronos.ports.history import RunFilter
from tests.jobs import work
from tests.jobs.flow import doubled


def bury(app, desk, number=1, **options):
    job_id = app.jobs.submit(work.echo, {"number": number}, **options)
    (job,) = desk.claim()
    desk.fail(job)
    return job_id


def bury_run(app):
    """Give up a run as its owner does, and return its id."""
    app.serve(doubled)
    run_id = app.start(doubled, {"number": 4})
    failure = b'{"type":"WorkerLost","message":"given up","cause":"lost","retryable":false}'
    with psycopg.connect(app.url) as mine:
        mine.execute(
            "UPDATE kronos.runs SET phase = 'dead', finished_at = kronos.now(), failure = %s WHERE id = %s",
            (failure, uuid.UUID(run_id)),
        )
        mine.execute(
            "INSERT INTO kronos.dead_letters (run_id, step, attempt, failure) VALUES (%s, 'double', 3, %s)",
            (uuid.UUID(run_id), failure),
        )
    return run_id


def test_a_dead_job_is_listed_and_tried_again_with_success(engine, tmp_path):
    path = tmp_path / "missing"
    handle = engine.submit(work.fail_until_mended, {"path": str(path)})
    job = engine.app.jobs.wait(handle.job_id, 10)
    assert job.state is JobState.DEAD
    (letter,) = engine.app.dead_letters.list(what=work.fail_until_mended.target)
    assert (letter.kind, letter.id, letter.failure.type) == ("job", job.id, "FileNotFoundError")
    path.write_text("mended", encoding="utf-8")
    assert engine.app.dead_letters.requeue([letter.id]) == {job.id: job.id}
    assert handle.result(10) == "mended"
    assert handle.status.attempt == 2
    assert engine.app.dead_letters.list(what=work.fail_until_mended.target) == []


def test_dead_runs_are_listed_beside_jobs_and_a_successor_takes_their_place(app, desk):
    run_id, job_id = bury_run(app), bury(app, desk)
    assert {(each.kind, each.id) for each in app.dead_letters.list()} == {("run", run_id), ("job", job_id)}
    letter = app.dead_letters.get(run_id)
    assert (letter.what, letter.step, letter.attempt) == ("doubled", "double", 3)
    successor = app.dead_letters.requeue([run_id])[run_id]
    worker = app.worker().start()
    try:
        run = app.wait(successor, 20)
    finally:
        worker.stop(5)
    assert (run.phase, run.output) == (Phase.COMPLETED, b"8")
    assert app.history.run(run_id).phase is Phase.DEAD
    assert [each.id for each in app.dead_letters.list()] == [job_id]


def test_a_dead_letter_is_discarded_with_a_reason_that_is_kept(app, desk):
    job_id, run_id = bury(app, desk), bury_run(app)
    with pytest.raises(InvalidInput, match="say why"):
        app.dead_letters.discard([job_id], reason=" ")
    assert sorted(app.dead_letters.discard([job_id, run_id], reason="market closed")) == sorted([job_id, run_id])
    assert app.dead_letters.list() == []
    assert (app.jobs.get(job_id).state, app.jobs.get(job_id).reason) == (JobState.DISCARDED, "market closed")


def test_dead_letters_are_grouped_by_error_and_decided_upon_in_bulk(app, desk):
    jobs = {bury(app, desk, number) for number in range(3)}
    bury_run(app)
    assert [(each.kind, each.what, each.error, each.count) for each in app.dead_letters.groups()] == [
        ("job", work.echo.target, "Boom", 3),
        ("run", "doubled", "WorkerLost", 1),
    ]
    assert set(app.dead_letters.requeue(error="Boom")) == jobs
    assert [each.error for each in app.dead_letters.groups()] == ["WorkerLost"]
    with pytest.raises(InvalidInput, match="say which"):
        app.dead_letters.requeue()


def test_requeuing_twice_makes_one_successor_and_what_is_no_dead_letter_is_refused(app, desk):
    run_id = bury_run(app)
    app.dead_letters.requeue([run_id])
    with pytest.raises(NotFound, match="is no dead letter"):
        app.dead_letters.requeue([run_id])
    assert len(app.history.runs(RunFilter()).runs) == 2


def test_the_failed_attempts_of_a_requeued_job_stay_on_record(app, desk):
    job_id = bury(app, desk)
    app.dead_letters.requeue([job_id])
    (job,) = desk.claim()
    assert (job.attempt, job.failures, job.losses) == (2, 0, 0)
    desk.fail(job)
    assert [each.attempt for each in app.jobs.attempts(job_id)] == [1, 2]


@pytest.mark.parametrize("damage", ["{", "[1]", '{"number": "x"}', ""])
def test_a_job_whose_input_is_damaged_is_dead_alone(engine, damage):
    app = engine.app
    app.queues.pause("damaged")
    damaged, well = (app.jobs.submit(work.echo, {"number": n}, queue="damaged") for n in (1, 2))
    life = engine._worker.worker.incarnation
    with psycopg.connect(app.url) as mine:
        mine.execute("UPDATE kronos.jobs SET input = %s WHERE id = %s", (damage.encode(), uuid.UUID(damaged)))
    app.queues.resume("damaged")
    assert app.jobs.wait(well, 20).state is JobState.COMPLETED
    ended = app.jobs.wait(damaged, 20)
    assert ended.state is JobState.DEAD
    assert ended.failure.type == "InvalidInput", ended.failure
    assert engine._worker.worker.incarnation == life
