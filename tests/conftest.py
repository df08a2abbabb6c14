"""What every test may ask for.

Rule 1: real things only: a real Postgres, real data, a real browser; what is absent skips loudly, and fails in CI.
Rule 2: it is given to one process of the suite alone: the unit suite runs in several at a time.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest
from psycopg import sql

from kronos.storage.embedded import EmbeddedPostgres

ROOT: Final = Path(__file__).resolve().parent.parent
CI: Final = os.environ.get("CI", "").lower() == "true"
MEMORY: Final = "/dev/shm"
MEMORY_MIN: Final = 4 << 30
BROWSERS: Final = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")


# --------------------------------------------------------------------------------------------- order

FIRST: Final = (
    "tests/cli/test_demo.py",
    "tests/replay/test_replay.py",
    "tests/timetravel/test_seek.py",
    "tests/replay/test_replay_fork.py",
    "tests/browser/test_every_page.py",
    "tests/browser/test_run_page.py",
    "tests/test_embedded.py",
    "tests/flows/test_demo.py",
    "tests/timetravel/test_code.py",
    "tests/outputs/test_sinks.py",
    "tests/cli/test_serving.py",
    "tests/testing/test_testing_kit.py",
    "tests/trading/test_time_travel.py",
    "tests/jobs/test_killed_workers.py",
    "tests/jobs/test_remote_steps.py",
)
"""What takes long is begun early, so that no process of the suite is left with it when the others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((number for number, head in enumerate(FIRST) if item.nodeid.startswith(head)), len(FIRST))

    items.sort(key=place)


# ------------------------------------------------------------------------------------------ Postgres


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """A fresh KRONOS_DATA_DIR. Under pytest's own folders (mode 0700) the database would move to /var/lib/kronos."""
    yield from _data_folder()


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The server of this session: DATABASE_URL, or an embedded one; on the disk where durability is tested."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    needs_disk = any(item.get_closest_marker("durability") for item in request.session.items)
    for folder in _data_folder(None if needs_disk else _memory()):
        server = EmbeddedPostgres(folder)
        url = server.start()
        trust_the_power(url)
        yield url
        server.stop()


def trust_the_power(url: str, *, trusted: bool = True) -> None:
    """Have a server not wait for the disk: what processes may lose is tested, a power failure is not.

    A database a test is made and dropped in a third less time; the durability suite takes this back.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM {'SET ' + setting + ' = off' if trusted else 'RESET ' + setting}")
        connection.execute("SELECT pg_reload_conf()")
        while connection.execute("SHOW fsync").fetchone() != ("off" if trusted else "on",):
            time.sleep(0.005)


@pytest.fixture
def disk(postgres_url: str) -> Iterator[None]:
    """For this test a commit waits for the disk, as where Kronos is used."""
    is_ours = "DATABASE_URL" not in os.environ
    if is_ours:
        trust_the_power(postgres_url, trusted=False)
    yield
    if is_ours:
        trust_the_power(postgres_url)


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database that is cloned for each test."""
    from kronos.storage.migrate import migrate

    name = f"kronos_template_{os.getpid()}"
    _administer(postgres_url, "DROP DATABASE IF EXISTS {}", name)
    _administer(postgres_url, "CREATE DATABASE {}", name)
    migrate(_with_database(postgres_url, name))
    yield name
    _administer(postgres_url, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """A database of this test alone, with the current schema and nothing in it."""
    yield from _database(postgres_url, template_database)


@pytest.fixture(scope="module")
def module_database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """A database that the tests of one module share."""
    yield from _database(postgres_url, template_database)


def _database(postgres_url: str, template_database: str) -> Iterator[str]:
    name = f"kronos_test_{os.getpid()}_{next(_counter)}"
    # file by file takes half the processor time of copying through the log
    _administer(postgres_url, "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template_database)
    yield _with_database(postgres_url, name)
    _administer(postgres_url, "DROP DATABASE {} WITH (FORCE)", name)


_counter = itertools.count()


def _administer(url: str, statement: str, *names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _with_database(url: str, name: str) -> str:
    head, mark, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}{mark}{query}"


def _memory() -> str | None:
    """Return a folder in memory, where a database of six hundred files is made and dropped in a third of the time.

    None where there is little of it, as in a plain container.
    """
    try:
        is_roomy = shutil.disk_usage(MEMORY).free >= MEMORY_MIN and os.access(MEMORY, os.W_OK)
    except OSError:
        return None
    return MEMORY if is_roomy else None


def _data_folder(within: str | None = None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="kronos-test-", dir=within))
    folder.chmod(0o755)
    yield folder
    EmbeddedPostgres(folder).stop()
    shutil.rmtree(folder)


# --------------------------------------------------------------------------------- data and browser


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The folder of real market data: KRONOS_TEST_DATA, or shared/data beside the checkout."""
    folder = Path(os.environ.get("KRONOS_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        _absent(f"no market data in {folder}: set KRONOS_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium or Chrome: CHROMIUM, or the system's."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        _absent("no Chromium or Chrome on this system: install one, or set CHROMIUM")
    return str(found)


def _absent(reason: str) -> None:
    if CI:
        pytest.fail(reason)
    pytest.skip(reason)
