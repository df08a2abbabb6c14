"""Jobs and schedules whose rows were changed by hand are named; those that only have lived are not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from kronos import Engine, step, workflow
from kronos.app import Kronos
from kronos.app.fsck.jobs import check_jobs
from kronos.app.fsck.reading import Reader
from kronos.app.fsck.schedules import check_schedules
from kronos.core.jobs import JobState
from kronos.settings import Settings

TRIES: dict[str, int] = {}


@step
def echo(number: int) -> int:
    return number


@step(retries=2, backoff="1ms")
def second_time(name: str) -> str:
    TRIES[name] = TRIES.get(name, 0) + 1
    if TRIES[name] == 1:
        raise ValueError("not yet")
    return name


@step(retries=1, backoff="1ms")
def never(number: int) -> int:
    raise ValueError(f"{number} is disliked")


@workflow(version="1")
def doubled(number: int) -> int:
    return echo(number)


@pytest.fixture(scope="module")
def lived(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kronos]:
    """One job in every state, and schedules in every condition."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("orders"), worker_concurrency=2)
    served = [echo, second_time, never, doubled]
    with Engine(workflows=served, database_url=module_database_url, settings=settings) as engine:
        jobs = engine.app.jobs
        made = [jobs.submit(echo, {"number": 1}), jobs.submit(second_time, {"name": "a"})]
        dead = [jobs.submit(never, {"number": each}) for each in range(3)]
        late = jobs.submit(echo, {"number": 2}, delay="1h")
        jobs.cancel(jobs.submit(echo, {"number": 3}, delay="1h"), reason="no")
        engine.app.queues.pause("asleep", by="me")
        made.append(jobs.submit(echo, {"number": 4}, queue="asleep", deadline="1ms"))
        for job in made + dead:
            jobs.wait(job, 30)
        engine.app.dead_letters.discard([dead[1]], reason="known")
        engine.app.dead_letters.requeue([dead[2]])
        assert jobs.wait(dead[2], 30).state is JobState.DEAD
        assert jobs.get(late).state is JobState.PENDING
        schedules = engine.app.schedules
        schedules.add("nightly", "30 2 * * *", doubled, {"number": 1}, zone="Europe/Berlin")
        schedules.add("often", "*/1 * * * * *", doubled, {"number": 1}, version="1", jitter="1s")
        schedules.add("once", "0 0 29 2 1", doubled, {"number": 1})
        schedules.add("paused", "@hourly", doubled, {"number": 1})
        schedules.pause("paused")
        schedules.trigger("paused")
        yield engine.app


@pytest.fixture
def owner(lived: Kronos) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that is rolled back."""
    with psycopg.connect(lived.url) as connection:
        yield connection
        connection.rollback()


def test_what_has_only_lived_is_sound(lived, owner):
    assert {state for (state,) in owner.execute("SELECT DISTINCT state::text FROM kronos.jobs")} == {
        *("completed", "dead", "discarded", "pending", "cancelled", "expired")
    }
    assert list(check_jobs(Reader(owner))) == []
    assert list(check_schedules(Reader(owner))) == []
    assert list(lived.upkeep.fsck()) == []


ECHO, RETRIED, DEAD = (f"target LIKE '%:{name}'" for name in ("echo", "second_time", "never"))


@pytest.mark.parametrize(
    ("change", "where", "says"),
    [
        ("state = 'completed', output = '5', failure = NULL, expires_at = finished_at", DEAD, "on record as failed"),
        ("state = 'completed', output = '5'", DEAD, "it is completed and has a failure"),
        ("failure = NULL", DEAD, "its failure is gone"),
        ("failures = 9", DEAD, "it counts 9 failures; [12] of its attempts"),
        ("failures = 2", RETRIED, "it counts 2 failures; 1 of its attempts"),
        ("input = '{bad'", DEAD, "its arguments are no JSON"),
        ('input = \'{"number":"one"}\', created_at = kronos.now()', DEAD, "do not fit those .* was listed with"),
        ("target = 'nope:x'", ECHO, "no worker ever listed its target 'nope:x'"),
        ("finished_at = started_at - interval '1 hour'", RETRIED, "finished before it started"),
        ("started_at = created_at - interval '1 hour'", RETRIED, "started before it was asked for"),
        ("expires_at = NULL", RETRIED, "not kept as long"),
        ("expires_at = expires_at + interval '100 years'", RETRIED, "not kept as long"),
        ("expires_at = 'infinity'", RETRIED, "not kept as long"),
        ("expires_at = kronos.now()", "state = 'dead'", "not kept as long"),
        ("expires_at = created_at", "state = 'discarded'", "not kept as long"),
        ("deadline_at = deadline_at + interval '1 day'", "state = 'expired'", "expired before its deadline"),
        ("output = NULL", RETRIED, "has no output"),
        ("output = '{'", RETRIED, "its output is no JSON"),
        ("output = '1'", "state = 'cancelled'", "has an output"),
        ("priority = 9", "state = 'pending'", "its rank is not that of"),
        ("attempt = 0", RETRIED, "was never begun"),
    ],
)
def test_a_job_that_was_changed_by_hand_is_named(owner, change, where, says):
    job = owner.execute(f"SELECT id FROM kronos.jobs WHERE {where} ORDER BY id LIMIT 1").fetchone()
    owner.execute(f"UPDATE kronos.jobs SET {change} WHERE id = '{job[0]}'")
    found = list(check_jobs(Reader(owner)))
    assert {each.row for each in found} == {f"jobs: {job[0]}"}
    assert any(re.search(says, each.what) for each in found), found


@pytest.mark.parametrize("where", [DEAD, RETRIED])
def test_failures_of_a_job_that_are_gone_or_garbled_are_named(owner, where):
    ((job, counted),) = owner.execute(
        f"SELECT id, failures FROM kronos.jobs WHERE {where} AND failures > 0 ORDER BY id LIMIT 1"
    ).fetchall()
    owner.execute("UPDATE kronos.job_failures SET failure = '{' WHERE job_id = %s", (job,))
    assert "cannot be read" in next(check_jobs(Reader(owner))).what
    owner.execute("DELETE FROM kronos.job_failures WHERE job_id = %s", (job,))
    found = list(check_jobs(Reader(owner)))
    assert (found[0].row, found[0].what) == (
        f"jobs: {job}",
        f"it counts {counted} failures; 0 of its attempts are on record as failed",
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("cron = '99 * * * *'", "minute"),
        ("zone = 'Mars/X'", "Mars/X"),
        ("workflow = 'nobody'", "its workflow 'nobody' was never registered"),
        ("version = '9'", "was never registered in version '9'"),
        ("input = '{'", "its input is no JSON"),
        ('input = \'{"number":"one"}\'', "its input does not fit the workflow: .*number"),
        ("next_at = NULL", "it has no next slot"),
        ("next_at = 'infinity'", "it has no next slot"),
        ("next_at = next_at + interval '1 minute'", "is none that its times name"),
        ("next_at = next_at + interval '7 days'", "passes over"),
    ],
)
def test_a_schedule_that_was_changed_by_hand_is_named(owner, change, says):
    owner.execute(f"UPDATE kronos.schedules SET {change} WHERE name = 'nightly'")
    (found,) = check_schedules(Reader(owner))
    assert found.row.startswith("schedules: ")
    assert found.row.endswith(" 'nightly'")
    assert re.search(says, found.what), found


def test_a_schedule_that_would_fire_a_slot_again_is_named(owner):
    owner.execute(
        "INSERT INTO kronos.schedule_firings (schedule_id, nominal_time, outcome, open)"
        " SELECT id, next_at, 'skipped', false FROM kronos.schedules WHERE name = 'nightly'"
    )
    (found,) = check_schedules(Reader(owner))
    assert found.what.endswith("was decided on already")
