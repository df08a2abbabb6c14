"""A database without a worker, and the seed of the dice."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kronos import Kronos
from kronos.settings import read_settings
from tests.durability.scene import LEASE_S, NURSERY, Fleet, Scene


@pytest.fixture(autouse=True)
def _as_in_use(disk: None) -> None:
    """No promise of durability is tested on a server that does not wait for its disk."""


@pytest.fixture(scope="session", autouse=True)
def _nursery() -> Iterator[None]:
    yield
    NURSERY.close()


@pytest.fixture
def seed() -> int:
    """The seed of this test's dice, from KRONOS_SEED or drawn; printed, so that a fault can be looked for again."""
    number = int(os.environ.get("KRONOS_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"KRONOS_SEED={number}")
    return number


@pytest.fixture
def scene(database_url: str, tmp_path: Path) -> Iterator[Scene]:
    """A database of this test alone, without a worker."""
    settings = replace(read_settings({}), data_dir=tmp_path / "client", lease=LEASE_S)
    with Fleet(database_url, tmp_path) as fleet, Kronos.open(settings, database_url=database_url) as app:
        yield Scene(app, fleet)
