"""Steps that jobs call."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Final

from kronos import StepContext, Transaction, step
from kronos.core.definition import StepDefinition

STEP: Final = StepDefinition
GATE: Final = threading.Event()
BEGUN: Final = threading.Event()
SPANS: Final[list[tuple[str, float, float]]] = []
TRIES: Final[dict[str, int]] = {}


@step
def echo(number: int) -> int:
    return number


@step
def other(number: int = 0) -> int:
    return number


@step
def share(whole: float) -> float:
    return 1 / whole if whole else float("nan")


@step
async def echo_later(number: int) -> int:
    await asyncio.sleep(0)
    return number


@step
def wait_for_gate(ctx: StepContext) -> str:
    BEGUN.set()
    while not GATE.wait(0.01):
        if ctx.cancelled:
            return "cancelled"
    return "open"


@step
def span(name: str, seconds: float) -> None:
    began = time.monotonic()
    time.sleep(seconds)
    SPANS.append((name, began, time.monotonic()))


@step(retries=3, backoff="10ms")
def fail_twice(name: str) -> int:
    TRIES[name] = TRIES.get(name, 0) + 1
    if TRIES[name] < 3:
        raise ValueError(f"try {TRIES[name]}")
    return TRIES[name]


@step
def fail(name: str = "x") -> int:
    raise LookupError(f"nothing under {name}")


@step
def fail_until_mended(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


@step(timeout="50ms")
def sleep_past_the_limit() -> None:
    time.sleep(0.3)


@step(heartbeat_timeout="150ms", retries=1, backoff="10ms")
def fall_silent_once(ctx: StepContext) -> int:
    for _ in range(4):
        ctx.heartbeat()
        time.sleep(1.2 if ctx.attempt == 1 else 0.05)
    return ctx.attempt


@step
def append_line(path: str, number: int) -> int:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{number} {os.getpid()}\n")
    time.sleep(0.002)
    return number


@step
def kill_the_process(path: str) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    os.kill(os.getpid(), 9)


@step
def who(ctx: StepContext) -> tuple[str, int]:
    return ctx.run_id, ctx.attempt


@step(effect="tx")
def in_the_database(tx: Transaction) -> int:
    return tx.execute("SELECT 1").fetchone()[0]
