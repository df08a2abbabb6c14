"""Runs to travel in: the real BTC backtest, and a user's project with a strategy of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from kronos import Engine, Kronos
from kronos.debugger.machine import Machine
from kronos.flows.backtest import BacktestRequest, single_backtest
from kronos.market.importing import ImportOptions
from kronos.market.plans import BacktestPlan
from kronos.trading import BacktestConfig

START_NS = 1_577_836_800_000_000_000  # 2020-01-01 UTC
MINUTE_NS = 60_000_000_000

MakeMachine = Callable[..., Machine]


@pytest.fixture(scope="session")
def store(postgres_url: str, template_database: str) -> Iterator[str]:
    """One database for all these tests: each looks at runs of its own, and an engine takes seconds to start."""
    name = f"kronos_travel_{os.getpid()}"
    head, mark, query = postgres_url.partition("?")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY")
    yield f"{head.rpartition('/')[0]}/{name}{mark}{query}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def engine(store: str, projects: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("travel")
    with Engine(workflows=[single_backtest], database_url=store, data_dir=folder) as engine:
        yield engine


@pytest.fixture
def make_machine(engine: Engine) -> Iterator[MakeMachine]:
    made: list[Machine] = []

    def make(*, key: bytes | None = None) -> Machine:
        made.append(machine_of(engine.app, key=key))
        return made[-1]

    yield make
    for each in made:
        each.close()


def machine_of(app: Kronos, *, key: bytes | None = None) -> Machine:
    return Machine(
        history=app.history,
        recordings=app.recordings,
        blobs=app.blobs,
        catalog=app.catalog,
        key=key or app.checkpoint_key,
        cache_dir=app.settings.data_dir / "cache",
    )


@pytest.fixture(scope="session")
def btc_request(engine: Engine, market_data: Path) -> BacktestRequest:
    """The exactness run of the issue: rows from 2020-01-01 on, size 1, fee 0.1 % a side."""
    path = market_data / "btc_1h_spot_2017_2024" / "BTC_USDT-1h.feather"
    engine.app.catalog.import_file(path, ImportOptions(name="btc", instrument="BTCUSDT", gaps="accept"))
    first = engine.app.catalog.open("btc").row_at(START_NS)
    config = BacktestConfig(cash=Decimal(10_000_000), fee_rate=Decimal("0.001"), first_row=first)
    plan = BacktestPlan(
        strategy="kronos.trading.sma_cross:SmaCross", params={"fast": 10, "slow": 30, "size": "1"}, config=config
    )
    return BacktestRequest(dataset="btc", plan=plan)


@pytest.fixture(scope="session")
def walk(engine: Engine) -> str:
    """The name of an imported random walk of 30,000 one-minute bars."""
    import_walk(engine.app, "walk", 30_000)
    return "walk"


@pytest.fixture(scope="session")
def long_walk(engine: Engine) -> str:
    """The name of a walk so long that a run over it takes checkpoints on any machine."""
    import_walk(engine.app, "long_walk", 200_000)
    return "long_walk"


def import_walk(app: Kronos, name: str, rows: int, *, seed: int = 1) -> None:
    rng = np.random.default_rng(seed)
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
    app.catalog.import_table(table, ImportOptions(name=name, instrument=name.upper(), tick=Decimal("0.01")))


STRATEGY = '''
"""A user's own strategy."""

from kronos.trading import NoParams, Strategy

STEP = 3


class Counting(Strategy):
    def __init__(self, params=None):
        super().__init__(params)
        self.seen = 0

    def on_bar(self, ctx, bar):
        self.seen += STEP
        if self.seen % 500 == 0:
            ctx.buy(1) if ctx.position == 0 else ctx.sell(1)


class Failing(Counting):
    def on_bar(self, ctx, bar):
        super().on_bar(ctx, bar)
        if bar.row == 6_000:
            raise ValueError("the bar that I dislike")


class Calling(Counting):
    def on_bar(self, ctx, bar):
        super().on_bar(ctx, bar)
        if bar.row == 10:
            import socket

            with socket.socket() as one:
                one.connect_ex(("127.0.0.1", 9))
'''

WORKFLOW = '''
"""A user's own workflow."""

from kronos import Dataset, step, workflow
from kronos.flows.steps import BacktestResult, backtest
from kronos.market.plans import BacktestPlan
from my_strategies_{number} import Counting


@step
def shown(result: BacktestResult) -> str:
    return result.strategy


@workflow(name="research_{number}", version="1")
def research(bars: Dataset, plan: BacktestPlan) -> str:
    return shown(backtest(bars, plan))
'''


class Project:
    """A folder with a strategy and a workflow over it, importable, editable."""

    def __init__(self, folder: Path, number: int) -> None:
        self.module, self.file = f"my_strategies_{number}", folder / f"my_strategies_{number}.py"
        self.workflow_module = f"my_workflow_{number}"
        self.file.write_text(STRATEGY)
        (folder / f"{self.workflow_module}.py").write_text(WORKFLOW.format(number=number))
        (folder / "pyproject.toml").write_text("")


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that is importable before any process of the engine starts."""
    folder = tmp_path_factory.mktemp("projects")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture
def project(projects: Path) -> Project:
    _made.append(Project(projects, len(_made)))
    return _made[-1]


_made: list[Project] = []
