"""A workflow with a step of every kind; tests copy it to a folder of its own and change a line of it."""

import os
import socket
from pathlib import Path

import msgspec

from kronos import StepContext, step, workflow

FACTOR = 1.10
SERVER_PORT = 0


class Stats(msgspec.Struct):
    count: int
    sharpe: float


def fetch() -> int:
    return 41


@step
def load(count: int) -> list[int]:
    """What there is to measure."""
    values = list(range(count))
    return values  # noqa: RET504 - a line to stop on


@step(executor="process")
def measure(values: list[int]) -> Stats:
    return Stats(count=sum(values), sharpe=FACTOR)


@step
def draw(ctx: StepContext) -> list[float]:
    return [ctx.random.random(), float(ctx.call(fetch)), ctx.now().timestamp()]


@step(retries=1, backoff="10ms")
def flaky(ctx: StepContext, count: int) -> int:
    if ctx.attempt == 1:
        raise ValueError(f"not yet: {count}")
    return count


@step(effect="external")
def mail(stats: Stats) -> str:
    folder = Path(os.environ["MAILBOX"])
    (folder / f"mail-{os.getpid()}").touch()
    return "sent"


@step
async def summary(stats: Stats, drawn: list[float], count: int, sent: str) -> dict[str, float]:
    if SERVER_PORT:
        socket.create_connection(("127.0.0.1", SERVER_PORT)).close()
    return {"sharpe": stats.sharpe, "count": count}


@workflow(version="1")
def research(count: int) -> dict[str, float]:
    stats = measure(load(count))
    return summary(stats, draw(), flaky(count), mail(stats))


if __name__ == "__main__":
    import research_for_test

    from kronos import Engine

    with Engine(workflows=[research_for_test.research]) as engine:
        handle = engine.start(research_for_test.research, {"count": 5})
        assert handle.result(timeout=30) == {"sharpe": 1.1, "count": 5}
        print(handle.run_id)
