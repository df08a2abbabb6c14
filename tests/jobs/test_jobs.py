"""Jobs through the Python surface, executed by a real worker."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from kronos.app import JobFailedError, Kronos
from kronos.core.decorators import step, workflow
from kronos.core.jobs import JobState
from kronos.errors import Conflict, InvalidInput, NotFound
from kronos.ports.jobbook import JobFilter
from tests.jobs import work

# ── KO28: submit, get, list, cancel, delayed ──


def test_a_job_is_executed_and_its_typed_result_comes_back(engine):
    assert engine.submit(work.echo, {"number": 7}).result(10) == 7
    assert engine.submit(work.echo_later, {"number": 8}).result(10) == 8


def test_a_job_is_listed_and_read_as_it_stands(engine):
    handle = engine.submit(work.echo, {"number": 5}, queue="listed", key="k", priority=9)
    handle.result(10)
    (job,) = engine.app.jobs.list(JobFilter(queue="listed"))
    assert (job.id, job.state, job.input, job.output) == (handle.job_id, JobState.COMPLETED, b'{"number":5}', b"5")
    assert (job.key, job.priority, job.attempt, job.target) == ("k", 9, 1, work.echo.target)
    assert job.created_at <= job.started_at <= job.finished_at
    assert engine.app.jobs.list(JobFilter(queue="listed", states=(JobState.DEAD,))) == []


def test_a_delayed_job_does_not_begin_before_its_time(engine):
    handle = engine.submit(work.echo, {"number": 1}, delay="150ms")
    assert handle.status.state is JobState.PENDING
    handle.result(10)
    job = handle.status
    assert job.started_at >= job.due_at >= job.created_at + 149_000_000
    at = datetime.now(UTC) + timedelta(milliseconds=120)
    later = engine.submit(work.echo, {"number": 1}, at=at)
    later.result(10)
    assert later.status.started_at >= int(at.timestamp() * 1e6) * 1000


def test_a_job_that_waits_is_cancelled_at_once_and_never_begins(engine):
    handle = engine.submit(work.fail, {}, delay="1h")
    assert engine.app.jobs.cancel(handle.job_id, reason="not needed").state is JobState.CANCELLED
    job = handle.status
    assert (job.attempt, job.reason) == (0, "not needed")
    with pytest.raises(Conflict, match="is cancelled already"):
        engine.app.jobs.cancel(handle.job_id)


def test_the_cancellation_of_a_job_reaches_the_function_that_runs(engine, gate):
    work.BEGUN.clear()
    handle = engine.submit(work.wait_for_gate)
    assert work.BEGUN.wait(10)
    engine.app.jobs.cancel(handle.job_id, reason="enough")
    job = engine.app.jobs.wait(handle.job_id, 10)
    assert (job.state, job.reason, job.failure.cause) == (JobState.CANCELLED, "enough", "cancelled")


def test_a_job_is_told_who_it_is(engine):
    handle = engine.submit(work.who)
    assert handle.result(10) == (handle.job_id, 1)


def test_many_jobs_are_asked_for_in_one_transaction_and_keep_their_order(engine):
    ids = engine.app.jobs.submit_many(work.echo, [{"number": n} for n in range(300)])
    assert [engine.app.jobs.wait(each, 20).output for each in ids] == [str(n).encode() for n in range(300)]


# ── retries and limits ──


def test_a_failed_job_is_tried_again_with_its_steps_retries_and_its_attempts_are_kept(engine):
    handle = engine.submit(work.fail_twice, {"name": "a"})
    assert handle.result(10) == 3
    assert handle.status.attempt == 3
    attempts = engine.app.jobs.attempts(handle.job_id)
    assert [(each.attempt, each.failure.message) for each in attempts] == [(1, "try 1"), (2, "try 2")]


def test_a_job_without_retries_left_is_dead_and_says_why(engine):
    handle = engine.submit(work.fail, {"name": "b"})
    with pytest.raises(JobFailedError, match="LookupError: nothing under b") as raised:
        handle.result(10)
    assert raised.value.job.state is JobState.DEAD


def test_a_job_that_runs_past_the_limit_of_its_step_fails(engine):
    handle = engine.submit(work.sleep_past_the_limit)
    with pytest.raises(JobFailedError, match="ran past its limit"):
        handle.result(10)


def test_a_job_that_falls_silent_is_given_up_and_tried_again(engine):
    handle = engine.submit(work.fall_silent_once)
    assert handle.result(10) == 2


def test_stale_work_expires_instead_of_running_late(engine):
    engine.app.queues.pause("stale")
    handle = engine.submit(work.echo, {"number": 1}, queue="stale", deadline="50ms")
    assert engine.app.jobs.wait(handle.job_id, 10).state is JobState.EXPIRED
    engine.app.queues.resume("stale")
    assert handle.status.attempt == 0


# ── KO31: idempotency keys ──


def test_fifty_concurrent_submits_with_one_idempotency_key_are_one_job(engine):
    found = list[str]()
    barrier = threading.Barrier(50)

    def submit():
        barrier.wait()
        found.append(engine.submit(work.echo, {"number": 3}, queue="once", idempotency_key="only").job_id)

    threads = [threading.Thread(target=submit) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 50
    assert len(set(found)) == 1
    assert len(engine.app.jobs.list(JobFilter(queue="once"))) == 1


def test_fifty_connections_with_one_idempotency_key_make_one_job(engine):
    found = list[str]()
    barrier = threading.Barrier(50)

    def submit():
        with psycopg.connect(engine.app.url) as mine:
            barrier.wait()
            found.append(engine.app.jobs.submit(work.echo, {"number": 3}, idempotency_key="each", conn=mine))

    threads = [threading.Thread(target=submit) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 50
    assert len(set(found)) == 1


def test_an_idempotency_key_of_another_call_is_refused(engine):
    engine.submit(work.echo, {"number": 3}, idempotency_key="mine")
    with pytest.raises(Conflict, match=r"belongs to job .* with other arguments"):
        engine.submit(work.echo, {"number": 4}, idempotency_key="mine")
    with pytest.raises(Conflict, match="belongs to job"):
        engine.submit(work.other, {"number": 3}, idempotency_key="mine")


def test_the_key_of_a_finished_job_is_free_after_its_retention(engine):
    first = engine.submit(work.echo, {"number": 3}, idempotency_key="again", keep="1ms")
    while first.status.state is not JobState.COMPLETED:
        time.sleep(0.005)
    time.sleep(0.002)
    second = engine.submit(work.echo, {"number": 4}, idempotency_key="again")
    assert second.job_id != first.job_id
    assert second.result(10) == 4


# ── the caller's own transaction ──


def test_a_job_and_a_run_begin_only_if_the_callers_transaction_commits(engine, tmp_path):
    from tests.jobs.flow import doubled

    app = engine.app
    with psycopg.connect(app.url) as mine:
        mine.execute("CREATE TABLE orders (id integer)")
        mine.commit()
        mine.execute("INSERT INTO orders VALUES (1)")
        gone = app.jobs.submit(work.echo, {"number": 1}, conn=mine)
        gone_run = app.start(doubled, {"number": 1}, conn=mine)
        mine.rollback()
        with pytest.raises(NotFound):
            app.jobs.get(gone)
        with pytest.raises(NotFound):
            app.history.run(gone_run)
        mine.execute("INSERT INTO orders VALUES (2)")
        kept = app.jobs.submit(work.echo, {"number": 2}, conn=mine)
        kept_run = app.start(doubled, {"number": 2}, conn=mine)
        with pytest.raises(NotFound):
            app.jobs.get(kept)
        mine.commit()
        assert app.jobs.wait(kept, 10).output == b"2"
        assert app.wait(kept_run, 10).output == b"4"
        assert mine.execute("SELECT id FROM orders").fetchall() == [(2,)]


def test_a_connection_that_is_none_or_leads_elsewhere_is_refused(engine, postgres_url):
    with pytest.raises(InvalidInput, match=r"give the psycopg\.Connection"):
        engine.app.jobs.submit(work.echo, {"number": 1}, conn=object())
    with psycopg.connect(postgres_url) as elsewhere, pytest.raises(InvalidInput, match="has no Kronos schema"):
        engine.app.jobs.submit(work.echo, {"number": 1}, conn=elsewhere)


# ── what is refused ──


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"arguments": {"number": "x"}}, "number"),
        ({"arguments": {}}, "number"),
        ({"arguments": {"number": 1, "more": 2}}, "takes no argument 'more'"),
        ({"priority": 11}, "priority 11: give 1 to 10"),
        ({"priority": 0}, "priority 0: give 1 to 10"),
        ({"queue": "Not a queue"}, "queue 'Not a queue'"),
        ({"at": datetime(2030, 1, 1)}, "has no time zone"),
        ({"at": datetime(2030, 1, 1, tzinfo=UTC), "delay": "1s"}, "exclude each other"),
        ({"idempotency_key": ""}, "idempotency_key ''"),
        ({"idempotency_key": 5}, "idempotency_key 5 is a int: give a text"),
        ({"idempotency_key": "a\0"}, "idempotency_key .* has a NUL"),
        ({"key": 5}, "key 5 is a int: give a text"),
        ({"key": "\ud800"}, "key .* surrogate"),
        ({"queue": 5}, "queue 5 is a int: give a text"),
        ({"at": "tomorrow"}, "at 'tomorrow' is no datetime"),
        ({"arguments": [1]}, r"arguments \[1\]: give them by name, as in \{'number': 1\}"),
        ({"arguments": {}}, r"step 'tests.jobs.work:echo' cannot be called with \{\}: .*`number`.*Give a JSON object"),
        ({"delay": "2h", "deadline": "1h"}, "deadline '1h' is over before the job may begin .'2h'.: .*give a later"),
        ({"at": datetime(2030, 1, 2, tzinfo=UTC), "deadline": datetime(2030, 1, 1, tzinfo=UTC)}, "is over before"),
    ],
)
def test_a_wrong_wish_is_refused_naming_field_and_value(engine, options, says):
    with pytest.raises(InvalidInput, match=says):
        engine.app.jobs.submit(work.echo, **{"arguments": {"number": 1}, **options})


def test_arguments_that_a_schema_refuses_are_named_with_their_step_and_their_path(app):
    app._book.register({"elsewhere:there": b'{"type":"object","properties":{"number":{"type":"integer"}}}'})
    for data, field in ((b'{"number":"one"}', "$.number"), (b"{x}", "arguments")):
        with pytest.raises(InvalidInput, match=r"step 'elsewhere:there' cannot be called with .*by name") as refused:
            app.jobs.submit_json("elsewhere:there", data)
        assert (refused.value.facts["field"], refused.value.facts["value"]) == (field, data.decode())


def test_many_calls_are_refused_where_one_has_no_names(engine):
    with pytest.raises(InvalidInput, match="arguments 5: give them by name"):
        engine.app.jobs.submit_many(work.echo, [{"number": 1}, 5])


@pytest.mark.parametrize(
    ("attributes", "says"),
    [(5, "attributes 5: give names with values"), ({"a": None}, "attribute 'a': expected a text.*got None")],
)
def test_wrong_attributes_of_a_start_are_refused_by_name(engine, attributes, says):
    with pytest.raises(InvalidInput, match=says):
        engine.app.start(echoing, {"number": 1}, attributes=attributes)


def test_an_address_in_the_place_of_settings_is_refused_without_showing_it():
    with pytest.raises(InvalidInput, match=r"settings is a str: .*goes as database_url=") as refused:
        Kronos.open("postgresql://me:secret@there/db")
    assert "secret" not in str(refused.value)


def test_a_wrong_delay_is_refused(engine):
    for options in ({"delay": "soon"}, {"delay": "99999999999d"}, {"deadline": ""}, {"keep": -1}):
        (field,) = options
        with pytest.raises(InvalidInput, match=f"{field}=.*at most 366d") as refused:
            engine.submit(work.echo, {"number": 1}, **options)
        assert (type(refused.value), refused.value.facts["field"]) == (InvalidInput, field)


@workflow(version="1")
def echoing(number: int) -> int:
    return work.echo(number)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda jobs: jobs.submit(echoing, {"number": 1}), "a WorkflowDefinition is no job"),
        (lambda jobs: jobs.submit(5), "a int is no job"),
        (lambda jobs: jobs.submit("a\0b"), "target .* has a NUL"),
        (lambda jobs: jobs.get(5), "job id 5 is not a UUID"),
        (lambda jobs: jobs.cancel(None), "job id None is not a UUID"),
        (lambda jobs: jobs.list(JobFilter(queue="a\0")), "queue .* has a NUL"),
    ],
)
def test_what_is_no_job_is_refused_before_the_database_is_asked(engine, call, says):
    with pytest.raises(InvalidInput, match=says):
        call(engine.app.jobs)


def test_a_database_step_is_refused_as_a_job_by_itself_and_by_its_name(app, engine):
    with pytest.raises(InvalidInput, match=r"is a database step.*call it in a workflow"):
        engine.app.jobs.submit(work.in_the_database)
    app.serve(work.in_the_database)
    with Kronos.open(database_url=app.url, data_dir=app.settings.data_dir) as elsewhere:
        with pytest.raises(InvalidInput, match="is a database step"):
            elsewhere.jobs.submit(work.in_the_database.target)
        assert elsewhere.jobs.list() == []


def test_a_job_by_name_goes_to_the_queue_of_its_step_from_a_process_that_does_not_serve_it_too(app):
    @step(queue="gpu")
    def heavy(number: int) -> int:
        return number

    app.serve(heavy)
    with Kronos.open(database_url=app.url, data_dir=app.settings.data_dir) as elsewhere:
        jobs = elsewhere.jobs
        assert jobs.get(jobs.submit(heavy.target, {"number": 1})).queue == "gpu"
        assert jobs.get(jobs.submit_many(heavy.target, [{"number": 1}])[0]).queue == "gpu"
        assert jobs.get(jobs.submit(heavy.target, {"number": 1}, queue="slow")).queue == "slow"
        assert jobs.get(jobs.submit(work.echo.target, {"number": 1})).queue == "default"


def test_a_target_that_nobody_serves_is_refused_with_the_nearest(engine):
    with pytest.raises(NotFound, match=r"no worker serves 'tests.jobs.work:ecko'.*work:echo"):
        engine.app.jobs.submit("tests.jobs.work:ecko", {"number": 1})


def test_a_target_by_name_is_checked_against_the_schema_that_its_worker_listed(app, engine):
    @step
    def here(number: int) -> int:
        return number

    app._book.register({"elsewhere:there": b'{"type":"object","properties":{"number":{"type":"integer"}}}'})
    assert app.jobs.get(app.jobs.submit("elsewhere:there", {"number": 1})).state is JobState.PENDING
    with pytest.raises(InvalidInput, match="number"):
        app.jobs.submit("elsewhere:there", {"number": "one"})


def test_an_unknown_job_is_named(engine):
    with pytest.raises(NotFound, match="there is no job 00000000-0000-7000-8000-000000000000"):
        engine.app.jobs.get("00000000-0000-7000-8000-000000000000")
    with pytest.raises(InvalidInput, match="is not a UUID"):
        engine.app.jobs.get("nonsense")
