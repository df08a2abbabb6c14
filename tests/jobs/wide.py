"""Workflows whose steps go to other workers."""

from __future__ import annotations

import os
import time

from kronos import StepContext, step, workflow


@step(queue="gpu")
def train(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


@step(queue="gpu", retries=2, backoff="10ms")
def train_at_the_second_try(number: int, ctx: StepContext) -> int:
    if ctx.attempt == 1:
        raise ValueError("not yet")
    return number


@step(queue="gpu", heartbeat_timeout="150ms", retries=1, backoff="10ms")
def train_in_silence_once(number: int, ctx: StepContext) -> int:
    for _ in range(3):
        ctx.heartbeat({"number": number})
        time.sleep(1.2 if ctx.attempt == 1 else 0.05)
    return ctx.attempt


@step
def first_of(trained: tuple[int, int]) -> list[int]:
    return list(trained)


@step
def where(number: int) -> tuple[int, int]:
    time.sleep(0.001)
    return number, os.getpid()


@step
def gather(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return found


@workflow(version="1")
def trained(number: int) -> list[int]:
    return first_of(train(number))


@workflow(version="1")
def trained_twice(number: int) -> int:
    return train_at_the_second_try(number)


@workflow(version="1")
def trained_in_silence(number: int) -> int:
    return train_in_silence_once(number)


@workflow(version="1")
def wide(numbers: list[int]) -> list[tuple[int, int]]:
    return gather(where.map(numbers))
