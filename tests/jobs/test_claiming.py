"""Who gets which job when: priorities, limits, fairness, rates; by hands that claim as they are told."""

from __future__ import annotations

import threading
import time

import pytest

from kronos.core.jobs import JobState
from kronos.errors import Conflict, InvalidInput, NotFound
from kronos.storage.jobbook import JobBook
from tests.jobs import work
from tests.jobs.conftest import set_clock


def numbers(jobs):
    return [int(job.input.split(b":")[1][:-1]) for job in jobs]


def submit(app, number, **options):
    return app.jobs.submit(work.echo, {"number": number}, **options)


# ── KO29: priorities ──


def test_of_jobs_that_wait_the_higher_priority_goes_first(app, desk):
    for priority in (1, 5, 10, 3, 7):
        submit(app, priority, priority=priority)
    assert numbers(desk.claim(2)) == [10, 7]
    assert numbers(desk.claim()) == [5, 3, 1]


def test_who_waits_long_enough_comes_first_whatever_its_priority(app, desk):
    session = app._session
    set_clock("2030-01-01 00:00+00", session)
    submit(app, 1, priority=1)
    set_clock("2030-01-01 00:08:59+00", session)
    submit(app, 10, priority=10)
    set_clock("2030-01-01 00:09:01+00", session)
    submit(app, 100, priority=10)
    desk.set_clock("2030-01-01 00:10+00")
    assert numbers(desk.claim()) == [10, 1, 100]


def test_jobs_of_equal_priority_go_in_order_of_submission(app, desk):
    for number in range(20):
        submit(app, number)
    assert numbers(desk.claim()) == list(range(20))


def test_a_better_job_that_comes_after_a_full_claim_is_not_overlooked_for_long(app, desk):
    for number in range(10):
        submit(app, number, priority=1)
    assert len(desk.claim(5)) == 5
    submit(app, 99, priority=10)
    desk.store._rescan_at = 0.0
    assert numbers(desk.claim(1)) == [99]


# ── one claimer each ──


def test_each_job_is_claimed_once_however_many_ask_at_once(app, make_desk):
    app.jobs.submit_many(work.echo, [{"number": n} for n in range(400)])
    claimed: list[list[str]] = []

    def take(mine):
        while found := mine.claim(7):
            claimed.append([job.id for job in found])

    threads = [threading.Thread(target=take, args=(make_desk(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    ids = [job for batch in claimed for job in batch]
    assert len(ids) == len(set(ids)) == 400


def test_only_targets_that_a_worker_serves_are_claimed(app, desk):
    submit(app, 1)
    mine = app.jobs.submit(work.other, {})
    assert [job.id for job in desk.claim(targets=[work.other.target])] == [mine]


def test_a_job_that_its_worker_no_longer_holds_is_not_ended_by_it(app, make_desk):
    first, second = make_desk(), make_desk()
    job_id = submit(app, 1)
    (lost,) = first.claim()
    second.store.release(first.incarnation, kept=[], begun=[])
    (again,) = second.claim()
    first.finish(lost)
    assert app.jobs.get(job_id).state is JobState.RUNNING
    second.finish(again)
    assert app.jobs.get(job_id).state is JobState.COMPLETED


def test_a_turn_that_is_sent_twice_ends_each_job_once(app, desk):
    job_id = submit(app, 1)
    (job,) = desk.claim()
    desk.fail(job, state="pending", due_ns=1)
    (again,) = desk.claim()
    desk.fail(job)  # the first turn once more: its attempt is over
    assert app.jobs.get(job_id).state is JobState.RUNNING
    desk.finish(again)
    desk.finish(again)
    assert [each.attempt for each in app.jobs.attempts(job_id)] == [1]


# ── limits ──


def test_no_more_jobs_of_a_queue_are_under_way_than_its_limit_over_all_workers(app, make_desk):
    app.queues.limit("default", concurrency=3)
    for number in range(10):
        submit(app, number)
    first, second = make_desk(), make_desk()
    taken = first.turn(2)
    assert len(taken.jobs) == 2
    more = second.turn(5)
    assert (len(more.jobs), more.held_back) == (1, True)
    assert first.claim() == []
    first.finish(taken.jobs[0])
    assert len(second.claim()) == 1


def test_claims_that_race_never_exceed_a_limit(app, make_desk):
    app.queues.limit("default", concurrency=5, key_concurrency=2)
    for number in range(60):
        submit(app, number, key=f"k{number % 4}")
    seen: list[int] = []
    stop = threading.Event()

    def look():
        book = app._book
        while not stop.is_set():
            states = book.keys("default")
            seen.append(sum(each.running for each in states))
            assert all(each.running <= 2 for each in states)

    def take(mine):
        for _ in range(200):
            found = mine.claim(4)
            if not found and not app.queues.get("default").pending:
                return
            mine.finish(*found)

    watcher = threading.Thread(target=look)
    watcher.start()
    threads = [threading.Thread(target=take, args=(make_desk(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    stop.set()
    watcher.join(5)
    assert max(seen) <= 5
    assert app.queues.get("default").pending == 0


def test_keys_take_turns_however_long_the_line_of_one_is(app, desk):
    for number in range(50):
        submit(app, number, key="greedy")
    for number in range(100, 103):
        submit(app, number, key="modest")
    submit(app, 200, key="late")
    assert sorted(numbers(desk.claim(3))) == [0, 100, 200]
    assert sorted(numbers(desk.claim(2))) == [1, 101]


def test_a_key_with_jobs_under_way_comes_after_one_without(app, desk):
    for number in range(4):
        submit(app, number, key="busy")
    assert len(desk.claim(3)) == 3
    submit(app, 100, key="idle")
    assert numbers(desk.claim(1)) == [100]


def test_no_more_jobs_begin_in_any_period_than_the_rate_allows(app, desk):
    app.queues.limit("default", rate=3, per="10s")
    for number in range(10):
        submit(app, number)
    starts: list[float] = []
    for second in range(0, 40, 2):
        desk.set_clock(f"2030-01-01 00:00:{second:02d}+00")
        starts += [second] * len(desk.claim())
    assert starts == [0, 0, 0, 10, 10, 10, 20, 20, 20, 30]
    assert all(sum(at <= other < at + 10 for other in starts) <= 3 for at in starts)


def test_many_who_claim_at_once_never_claim_more_in_any_period_than_the_rate_allows(app, make_desk):
    rate, period_ns = 4, 200_000_000
    app.queues.limit("default", rate=rate, per="200ms")
    for number in range(24):
        submit(app, number)
    desks = [make_desk() for _ in range(3)]
    claimed: list[str] = []

    def take(mine):
        until = time.monotonic() + 30
        while len(claimed) < 24 and time.monotonic() < until:
            claimed.extend(job.id for job in mine.claim())

    takers = [threading.Thread(target=take, args=(mine,)) for mine in desks]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    assert len(set(claimed)) == len(claimed) == 24
    at = sorted(app.jobs.get(job).started_at for job in claimed)  # they run: it is their claim
    assert all(at[place + rate] - at[place] >= period_ns for place in range(24 - rate))


# ── pauses ──


def test_a_paused_queue_gives_nothing_until_it_is_resumed(app, desk):
    submit(app, 1)
    submit(app, 2, queue="open")
    state = app.queues.pause("default", by="ops")
    assert (state.paused, state.paused_by, state.pending) == (True, "ops", 1)
    assert numbers(desk.claim()) == [2]
    app.queues.resume("default")
    assert numbers(desk.claim()) == [1]
    with pytest.raises(Conflict, match="is not paused"):
        app.queues.resume("default")


def test_the_state_of_each_queue_and_key_is_visible(app, desk):
    submit(app, 1, key="a")
    submit(app, 2, key="b")
    submit(app, 3, key="b", delay="1h")
    desk.claim(1)
    app.queues.limit("default", concurrency=9, key_concurrency=4, rate=5, per="2s")
    state = app.queues.get("default")
    assert (state.pending, state.delayed, state.running, state.dead) == (1, 1, 1, 0)
    assert (state.concurrency, state.key_concurrency, state.rate, state.rate_s) == (9, 4, 5, 2.0)
    assert {each.key: (each.pending, each.running) for each in app.queues.keys("default")} == {
        "a": (0, 1),
        "b": (2, 0),
    }
    with pytest.raises(NotFound, match="nothing is known of queue 'nowhere'; known: default"):
        app.queues.get("nowhere")


@pytest.mark.parametrize("limits", [{"concurrency": 0}, {"key_concurrency": -1}, {"rate": 10**9}])
def test_a_limit_that_is_none_is_refused(app, limits):
    with pytest.raises(InvalidInput, match="give 1 to 1,000,000, or none"):
        app.queues.limit("default", **limits)


def test_queues_share_a_claim(app, desk):
    for number in range(10):
        submit(app, number, queue="a")
        submit(app, 100 + number, queue="b")
    assert sum(number >= 100 for number in numbers(desk.claim(10))) == 5


# ── time ──


def test_what_is_not_due_is_not_claimed_and_its_time_is_known(app, desk):
    submit(app, 1, delay="40s")
    claims = desk.turn()
    assert claims.jobs == []
    assert 35 < claims.next_due_s <= 40


def test_finished_jobs_are_forgotten_after_their_retention(app, desk):
    job_id = submit(app, 1, keep="1h")
    desk.finish(*desk.claim())
    desk.store.maintain()
    assert app.jobs.get(job_id).state is JobState.COMPLETED
    desk.set_clock("2090-01-01 00:00+00")
    desk.store.maintain()
    with pytest.raises(NotFound):
        app.jobs.get(job_id)


# ── losses ──


def test_a_dead_workers_jobs_are_given_back_and_the_loss_is_counted(app, make_desk):
    job_id = submit(app, 1)
    first = make_desk()
    first.claim()
    first.die()
    job = app.jobs.get(job_id)
    assert (job.state, job.losses, job.failures) == (JobState.PENDING, 1, 0)
    (again,) = make_desk().claim()
    assert (again.attempt, again.losses) == (2, 1)


def test_a_worker_that_leaves_in_order_counts_no_loss_and_unbegun_jobs_no_attempt(app, make_desk):
    submit(app, 1)
    submit(app, 2)
    desk = make_desk()
    begun, _ = desk.claim()
    desk.store.release(desk.incarnation, kept=[], begun=[begun.id])
    desk.die("stopped")
    jobs = {job.id: job for job in app.jobs.list()}
    assert sorted(job.attempt for job in jobs.values()) == [0, 1]
    assert {job.losses for job in jobs.values()} == {0}


def test_a_job_with_which_too_many_workers_died_is_dead_unheard(app, make_desk):
    job_id = submit(app, 1)
    for _ in range(6):
        desk = make_desk()
        assert desk.claim()
        desk.die()
    job = app.jobs.get(job_id)
    assert job.state is JobState.DEAD
    assert job.failure.message == "given up: 6 workers died with this job in hand"


def test_a_dead_incarnation_claims_and_ends_nothing(app, make_desk):
    from kronos.errors import LeaseLost

    submit(app, 1)
    submit(app, 2)
    desk = make_desk()
    (held,) = desk.claim(1)
    desk.queue.retire(desk.incarnation, "killed")
    with pytest.raises(LeaseLost):
        desk.claim()
    with pytest.raises(LeaseLost):
        desk.finish(held)
    assert isinstance(app._book, JobBook)
    assert app.jobs.get(held.id).state is JobState.RUNNING
