"""Workflows for the durability tests; each execution of a step signs the ledger, a file that survives every kill.

Rule: the ledger, not Kronos, says what was executed.  One line an execution: run, step, attempt, token, pid, start.
The token is in the step's output too, so that the ledger and the record can be laid side by side.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import msgspec

from kronos import StepContext, Transaction, approval, sleep, step, wait_for_signal, workflow

BIG = 20_000
"""Characters: well above the size from which a value becomes a blob."""


class Order(msgspec.Struct, frozen=True):
    number: int
    pace_ms: int = 20
    heavy: bool = False


class Part(msgspec.Struct, frozen=True):
    value: int
    token: str
    padding: str = ""


def sign(ctx: StepContext) -> str:
    """Write one line, in one write, and return the token of this execution."""
    token = os.urandom(8).hex()
    line = f"{ctx.run_id} {ctx.step} {ctx.attempt} {token} {os.getpid()} {time.monotonic_ns()}\n"
    descriptor = os.open(os.environ["KRONOS_TEST_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
    return token


def linger(order: Order) -> None:
    time.sleep(order.pace_ms / 1000 * random.uniform(0.2, 2))


# ── the storm: a diamond, retries, effects, blobs ──


@step
def source(order: Order, ctx: StepContext) -> Part:
    token = sign(ctx)
    linger(order)
    return Part(order.number, token)


@step
def left(order: Order, before: Part, ctx: StepContext) -> Part:
    token = sign(ctx)
    drawn = ctx.random.random()
    seen = ctx.now()
    linger(order)
    assert 0 <= drawn < 1
    assert seen.tzinfo is not None
    return Part(before.value + 1, token, str(ctx.uuid()))


@step(retries=5, backoff="30ms")
def right(order: Order, before: Part, ctx: StepContext) -> Part:
    token = sign(ctx)
    linger(order)
    if ctx.attempt == 1 and order.number % 3 == 0:
        raise ConnectionError("the first attempt of every third order fails")
    return Part(before.value + 2, token)


@step
def large(order: Order, one: Part, other: Part, ctx: StepContext) -> Part:
    token = sign(ctx)
    linger(order)
    return Part(one.value * other.value, token, f"{order.number:08d}" * (BIG // 8))


@step
async def last(order: Order, before: Part, ctx: StepContext) -> Part:
    token = sign(ctx)
    assert before.padding == f"{order.number:08d}" * (BIG // 8)
    return Part(before.value + 3, token)


@workflow(version="1")
def storm(order: Order) -> Part:
    first = source(order)
    joined = large(order, left(order, first), right(order, first))
    for place in range(3):
        joined = large.named(f"again-{place}")(order, left.named(f"by-{place}")(order, joined), joined)
    return last(order, joined)


def storm_result(number: int) -> int:
    """What `storm` must return."""
    value = (number + 1) * (number + 2)
    for _ in range(3):
        value = (value + 1) * value
    return value + 3


STORM_STEPS = {"source", "left", "right", "large", "last"} | {f"{a}-{i}" for a in ("again", "by") for i in range(3)}


# ── one step of a process slot ──


@step(executor="process")
def apart(order: Order, before: Part, ctx: StepContext) -> Part:
    token = sign(ctx)
    linger(order)
    return Part(before.value * 7, token)


@workflow(version="1")
def storm_apart(order: Order) -> Part:
    return last.named("end")(order, large(order, apart(order, source(order)), source.named("side")(order)))


def storm_apart_result(number: int) -> int:
    """What `storm_apart` must return."""
    return number * 7 * number + 3


STORM_APART_STEPS = {"source", "side", "apart", "large", "end"}


# ── one that kills its process ──


@step
def kill_worker(order: Order, before: Part, ctx: StepContext) -> Part:
    sign(ctx)
    os.kill(os.getpid(), signal.SIGKILL)
    return before


@workflow(version="1")
def poison(order: Order) -> Part:
    return kill_worker(order, source(order))


# ── short and long ──


@step
def nap(order: Order, ctx: StepContext) -> Part:
    token = sign(ctx)
    time.sleep(order.pace_ms / 1000)
    return Part(order.number, token)


@workflow(version="1")
def one_nap(order: Order) -> Part:
    return nap(order)


@workflow(version="1")
def two_naps(order: Order) -> Part:
    nap.named("first")(order)
    return nap.named("second", after=["first"])(order)


@step(effect="external")
def wait_for_gate(order: Order, ctx: StepContext) -> Part:
    """Run until the test opens the gate: on record as started before it runs."""
    token = sign(ctx)
    gate = Path(os.environ["KRONOS_TEST_GATE"])
    deadline = time.monotonic() + 60
    while not gate.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    return Part(order.number, token)


@workflow(version="1")
def gated(order: Order) -> Part:
    return last.named("after")(order, large(order, wait_for_gate(order), source(order)))


# ── one that writes to a table of the user's ──

BOOKINGS = "CREATE TABLE bookings (run text NOT NULL, attempt integer NOT NULL, token text NOT NULL)"


@step(effect="tx")
def book(tx: Transaction, ctx: StepContext, order: Order) -> Part:
    token = sign(ctx)
    tx.execute("INSERT INTO bookings VALUES (%s, %s, %s)", (ctx.run_id, ctx.attempt, token))
    linger(order)
    return Part(order.number, token)


@workflow(version="1")
def booked(order: Order) -> Part:
    return last.named("end")(order, large(order, book(order=order), source(order)))


# ── one that listens ──

NUMBERS = 12


@step
def collect(numbers: list[int], decided: bool) -> list[int]:
    return numbers if decided else []


@workflow(version="1")
def listening() -> list[int]:
    """Take NUMBERS messages one after another, then somebody's word; a short sleep lies in between."""
    taken = [wait_for_signal("n", int, step=f"n{i}", after=[f"n{i - 1}"] if i else []) for i in range(NUMBERS)]
    nap = sleep("20ms", name="nap", after=[f"n{NUMBERS - 1}"])
    return collect(taken, approval("desk", name="gate", after=[nap]).approved)
