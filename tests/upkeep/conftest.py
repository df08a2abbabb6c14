"""One database in which everything has happened: what upkeep looks at, and what tests corrupt in transactions that are
rolled back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psycopg
import pyarrow as pa
import pytest

from kronos import Engine, StepContext, child, sleep, step, workflow
from kronos.app import Kronos
from kronos.flows.backtest import BacktestRequest, single_backtest
from kronos.kernel.ids import RunId
from kronos.market.importing import ImportOptions
from kronos.market.plans import BacktestPlan
from kronos.settings import Settings
from kronos.trading import BacktestConfig

START_NS = 1_577_836_800_000_000_000
MINUTE_NS = 60_000_000_000


@step
def long_text(size: int) -> str:
    return "x" * size


@step(retries=1, backoff="1ms")
def fails(size: int) -> int:
    raise ValueError(f"{size} is disliked")


@step
def length(text: str) -> int:
    return len(text)


@workflow(version="1")
def texts(size: int) -> str:
    return long_text.named("second")(length(long_text(size)))


@workflow(version="1")
def failing(size: int) -> int:
    return fails(size)


@step
def mark(text: str, ctx: StepContext) -> str:
    ctx.set_attribute("urgent", True)
    ctx.set_attribute("desk", "fx")
    return text


@workflow(version="1", timeout="1h")
def marked(size: int) -> str:
    return mark(long_text(size))


@workflow(version="1")
def napping(size: int) -> int:
    rest = sleep("1h", name="rest")
    return length.named("awake", after=[rest])(long_text(size))


@workflow(version="1")
def daughter(size: int) -> str:
    return long_text(size)


@workflow(version="1")
def mother(size: int) -> str:
    return child(daughter, size)


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What has happened, by name."""

    url: str
    completed: list[RunId]
    failed: RunId
    cancelled: RunId
    pending: RunId
    asleep: RunId
    mother: RunId
    backtest: RunId
    forks: list[RunId]


@pytest.fixture(scope="session")
def own_database(postgres_url: str, template_database: str) -> Iterator[str]:
    name = f"kronos_upkeep_{os.getpid()}"
    head, mark, query = postgres_url.partition("?")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY")
    yield f"{head.rpartition('/')[0]}/{name}{mark}{query}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def scene(own_database: str, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Runs that completed (with blobs), failed, were cancelled, wait; a backtest with its journal."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("upkeep"), worker_concurrency=4)
    with Engine(
        workflows=[texts, failing, marked, napping, mother, single_backtest],
        database_url=own_database,
        settings=settings,
    ) as engine:
        _import_walk(engine.app, 20_000)
        plan = BacktestPlan(
            strategy="kronos.trading.sma_cross:SmaCross",
            params={"fast": 3, "slow": 9, "size": "1"},
            config=BacktestConfig(cash=Decimal(10_000_000), fee_rate=Decimal("0.001"), first_row=0),
        )
        backtest = engine.start(single_backtest, BacktestRequest(dataset="walk", plan=plan))
        completed = [engine.start(texts, {"size": 10_000 + number}) for number in range(6)]
        asleep, parent = engine.start(napping, {"size": 100}), engine.start(mother, {"size": 50})
        limited = engine.start(marked, {"size": 9_000})
        failed = engine.start(failing, {"size": 1})
        for handle in (backtest, limited, parent, *completed):
            handle.result(60)
        engine.app.wait(failed.run_id, 30)
        origin, forks = completed[-1].run_id, list[RunId]()
        for forked, place in ((origin, {"at": "length"}), (origin, {"at_seq": 4}), (None, {"at": "second"})):
            forks.append(engine.app.fork(forked or forks[0], **place))
            engine.app.wait(forks[-1], 30)
    with Kronos.open(database_url=own_database, settings=settings, workflows=[marked]) as app:
        cancelled, pending = app.start(marked, {"size": 1}), app.start("texts", {"size": 2}, attributes={"desk": "fx"})
        app.cancel(pending, reason="it will be, once somebody owns it")
        app.cancel(cancelled, reason="because")
        worker = app.worker().start()
        app.wait(cancelled, 30)
        worker.stop()
    return Scene(
        url=own_database,
        completed=[handle.run_id for handle in completed],
        failed=failed.run_id,
        cancelled=cancelled,
        pending=pending,
        asleep=asleep.run_id,
        mother=parent.run_id,
        backtest=backtest.run_id,
        forks=forks,
    )


@pytest.fixture
def app(scene: Scene, tmp_path: Path) -> Iterator[Kronos]:
    with Kronos.open(database_url=scene.url, data_dir=tmp_path) as opened:
        yield opened


@pytest.fixture
def owner(scene: Scene) -> Iterator[psycopg.Connection[Any]]:
    """A superuser in a transaction that is rolled back, before whom the guards of history are down."""
    with psycopg.connect(scene.url) as connection:
        (is_superuser,) = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        if not is_superuser:
            pytest.skip("this login is no superuser")
        yield connection
        connection.rollback()


def _import_walk(app: Kronos, rows: int) -> None:
    rng = np.random.default_rng(1)
    close = np.cumsum(rng.integers(-50, 51, rows)).astype(np.int64)
    close += 1_000 - close.min()
    opening = np.roll(close, 1)
    opening[0] = close[0]
    prices = {"open": opening, "high": np.maximum(opening, close) + 5, "low": np.minimum(opening, close) - 5}
    columns = {key: values / 100 for key, values in {**prices, "close": close}.items()}
    times = np.arange(rows, dtype=np.int64) * MINUTE_NS + START_NS
    table = pa.table(
        {"time": pa.array(times, pa.timestamp("ns", "UTC")), **columns, "volume": np.ones(rows, dtype=np.int64)}
    )
    app.catalog.import_table(table, ImportOptions(name="walk", instrument="WALK", tick=Decimal("0.01")))
