"""Thread slots lose no attempt, and survive steps that never end."""

from __future__ import annotations

import threading
import time

from kronos.core.decorators import step
from kronos.engine.context import StepContext


@step
def double(x: int) -> int:
    return 2 * x


@step
def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_every_attempt_comes_back_once_however_they_arrive(make_bench):
    bench = make_bench(threads=4)
    sent = []
    for size in (1, 1, 500, 1, 3, 2_000, 1):
        batch = [bench.task(double, b'{"x":%d}' % i) for i in range(size)]
        sent += batch
        bench.slots.submit(batch)
        if size % 2:
            time.sleep(0.001)
    ended = bench.collect(len(sent))
    assert sorted(task.step for task, _ in ended) == sorted(task.step for task in sent)
    assert all(outcome.output == b"%d" % (2 * int(task.input[5:-1])) for task, outcome in ended)
    assert bench.slots.busy("thread") == 0


def test_one_at_a_time_is_never_lost(make_bench):
    bench = make_bench(threads=3)
    for i in range(3_000):
        assert bench.run(double, b'{"x":%d}' % i).output == b"%d" % (2 * i)


def test_attempts_in_several_threads_overlap(make_bench):
    meeting = threading.Barrier(3, timeout=10)

    @step
    def meet() -> int:
        return meeting.wait()

    bench = make_bench(threads=3)
    bench.slots.submit([bench.task(meet) for _ in range(3)])
    assert all(outcome.failure is None for _, outcome in bench.collect(3))


def test_a_hung_step_fails_at_its_limit_and_its_late_result_is_thrown_away(make_bench):
    bench = make_bench(threads=1, stuck_max=1)
    release = threading.Event()

    @step
    def hangs() -> int:
        release.wait()
        return 1

    begun = time.monotonic()
    outcome = bench.run(hangs, timeout_s=0.2)
    assert 0.2 <= time.monotonic() - begun < 2
    assert (outcome.failure.type, outcome.failure.cause) == ("StepTimeout", "timeout")
    assert "past its limit of 0.2 s" in outcome.failure.message
    assert [task.target for task in bench.slots.stuck] == [hangs.target]
    assert bench.run(double, b'{"x":1}').output == b"2"  # its slot was replaced
    release.set()
    deadline = time.monotonic() + 5
    while bench.slots.stuck and time.monotonic() < deadline:
        time.sleep(0.01)
    assert bench.slots.stuck == []
    assert bench.slots.drain() == []


def test_at_the_bound_stuck_threads_are_no_longer_replaced_and_it_is_said(make_bench):
    bench = make_bench(threads=2, stuck_max=1)
    release = threading.Event()

    @step
    def hangs() -> int:
        release.wait()
        return 1

    bench.slots.submit([bench.task(hangs, timeout_s=0.05) for _ in range(2)])
    bench.collect(2)
    assert bench.bound.wait(5)
    assert len(bench.slots.stuck) == 2
    assert bench.slots.free("thread") == 1
    assert bench.run(double, b'{"x":1}').output == b"2"
    release.set()


def test_a_short_limit_after_a_long_one_is_kept(make_bench):
    bench = make_bench(threads=2)
    bench.run(double, b'{"x":1}', timeout_s=600)
    begun = time.monotonic()
    assert bench.run(sleep, b'{"seconds":3}', timeout_s=0.1).failure.type == "StepTimeout"
    assert time.monotonic() - begun < 2


def test_an_attempt_within_its_limit_is_left_alone(make_bench):
    bench = make_bench(threads=2)
    for _ in range(20):
        assert bench.run(sleep, b'{"seconds":0.001}', timeout_s=5).failure is None
    assert bench.slots.stuck == []


def test_stopping_waits_for_what_runs_and_hands_back_what_never_started(make_bench):
    bench = make_bench(threads=1)
    begun = threading.Event()

    @step
    def works() -> int:
        begun.set()
        time.sleep(0.2)
        return 1

    running, waiting = bench.task(works), bench.task(double, b'{"x":1}')
    bench.slots.submit([running])
    begun.wait(5)
    bench.slots.submit([waiting])
    assert bench.slots.stop(5) == [waiting]
    assert [(task, outcome.output) for task, outcome in bench.slots.drain()] == [(running, b"1")]


def test_queued_and_running_attempts_are_cancelled_and_a_loop_in_a_thread_can_see_it(make_bench):
    bench = make_bench(threads=1)
    begun, seen = threading.Event(), threading.Event()

    @step
    def holds(ctx: StepContext) -> int:
        begun.set()
        while not ctx.cancelled:
            time.sleep(0.001)
        seen.set()
        return 1

    running, queued = bench.task(holds), bench.task(double, b'{"x":1}')
    bench.slots.submit([running, queued])
    begun.wait(5)
    assert bench.slots.cancel(queued.run_id, queued.step, 1)
    assert bench.slots.cancel(running.run_id, running.step, 1)
    assert not bench.slots.cancel(running.run_id, running.step, 2)
    assert [(task, o.failure.cause) for task, o in bench.collect(2)] == [(queued, "cancelled"), (running, "cancelled")]
    assert seen.wait(5)
    deadline = time.monotonic() + 5
    while bench.slots.stuck and time.monotonic() < deadline:
        time.sleep(0.01)
    assert bench.slots.stuck == []
    assert bench.slots.drain() == []


def test_code_that_is_not_registered_is_said(bench):
    task = bench.task(double, b'{"x":1}')
    bench.definitions.clear()
    bench.slots.submit([task])
    ((_, outcome),) = bench.collect(1)
    assert "is registered here" in outcome.failure.message
