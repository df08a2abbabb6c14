"""Candidates that are turned by hand, over one database."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kronos import Kronos, step, workflow
from kronos.engine.leader import Candidate, Duty, schedules_duty
from kronos.ports.leading import Presence
from kronos.storage.database import Session
from kronos.storage.leading import PostgresLeadership
from kronos.storage.schedules import PostgresSchedules

_names = itertools.count()


@step
def echo(number: int) -> int:
    return number


@workflow(version="1")
def echoed(number: int = 1) -> int:
    return echo(number)


@pytest.fixture
def app(database_url: str, tmp_path: Any) -> Iterator[Kronos]:
    with Kronos.open(database_url=database_url, data_dir=tmp_path, workflows=[echoed]) as opened:
        yield opened


class Hand:
    """A candidate without threads, and what it wrote with."""

    def __init__(self, url: str, lease_s: float) -> None:
        self.store = PostgresLeadership(url)
        self.session = Session(url, purpose="duties")
        self.schedules = PostgresSchedules(self.session)
        self.fired = 0
        self.candidate = Candidate(
            store=self.store,
            kind="worker",
            name=f"hand-{next(_names)}",
            lease_s=lease_s,
            presence=lambda: Presence(None, ()),
            duties=[schedules_duty(self.schedules), Duty("count", self._count)],
        )

    def _count(self, term: Any) -> float:
        self.fired += 1
        return 0.0

    @property
    def epoch(self) -> int | None:
        term = self.candidate.term
        return None if term is None else term.epoch

    def vanish(self) -> None:
        """Leave without a word, as a process that was killed does."""
        self.store.close()
        self.session.close()


@pytest.fixture
def make_hand(database_url: str) -> Iterator[Callable[..., Hand]]:
    made: list[Hand] = []

    def make(lease_s: float = 0.4, url: str = database_url) -> Hand:
        made.append(Hand(url, lease_s))
        return made[-1]

    yield make
    for hand in made:
        hand.vanish()
