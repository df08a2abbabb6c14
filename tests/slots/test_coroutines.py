"""Coroutine steps share one loop, and are really cancelled."""

from __future__ import annotations

import asyncio
import time

from kronos.core.decorators import step

ended: list[str] = []


@step
async def nap(seconds: float) -> float:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        ended.append("cancelled")
        raise
    return seconds


@step
async def fails() -> int:
    raise TimeoutError("my own")


def test_many_wait_at_once(bench):
    begun = time.monotonic()
    bench.slots.submit([bench.task(nap, b'{"seconds":0.3}') for _ in range(200)])
    assert all(outcome.output == b"0.3" for _, outcome in bench.collect(200))
    assert time.monotonic() - begun < 5


def test_past_its_limit_a_coroutine_is_cancelled(bench):
    ended.clear()
    outcome = bench.run(nap, b'{"seconds":30}', timeout_s=0.1)
    assert (outcome.failure.type, outcome.failure.cause) == ("StepTimeout", "timeout")
    assert ended == ["cancelled"]


def test_a_timeout_error_of_its_own_is_not_our_limit(bench):
    assert bench.run(fails, timeout_s=5).failure.type == "TimeoutError"


def test_a_running_coroutine_is_cancelled_by_request(bench):
    task = bench.task(nap, b'{"seconds":30}')
    bench.slots.submit([task])
    deadline = time.monotonic() + 5
    while not bench.slots._coroutines.running() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert bench.slots.cancel(task.run_id, task.step, 1)
    ((_, outcome),) = bench.collect(1)
    assert outcome.failure.cause == "cancelled"


def test_beyond_the_number_of_slots_they_wait_in_order(make_bench):
    bench = make_bench(coroutines=1)
    bench.slots.submit([bench.task(nap, b'{"seconds":0.0%d}' % (3 - i)) for i in range(3)])
    assert [outcome.output for _, outcome in bench.collect(3)] == [b"0.03", b"0.02", b"0.01"]
