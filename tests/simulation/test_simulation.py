"""Whatever a seed lets go wrong, no promise of the engine is broken."""

from __future__ import annotations

import pytest

from kronos.storage.statements import statement_names
from tests.simulation.conductor import Summary, conduct, databases
from tests.simulation.player import play
from tests.simulation.reach import AIMS, OUT_OF_REACH

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(240)]

SEEDS = range(120)


@pytest.fixture(scope="module")
def summary(postgres_url) -> Summary:
    return conduct(postgres_url, SEEDS)


def test_no_seed_breaks_a_rule(summary):
    assert len(summary.played) == len(SEEDS)
    assert not summary.failed, "\n".join(summary.failed.values())


def test_every_statement_is_aimed_at_or_listed_with_the_reason_why_not(summary):
    assert set(statement_names()) - set(OUT_OF_REACH) <= set(AIMS)
    assert sorted(set(OUT_OF_REACH) - set(statement_names())) == [], "these are gone: take them off the list"
    assert len(summary.visited) > len(AIMS) / 2, "faults strike at too few statements"


def test_an_equal_seed_gives_an_equal_history(postgres_url, summary):
    seeds = SEEDS[:: len(SEEDS) // 10]
    with databases(postgres_url, 1) as (url,):
        again = {report.seed: report.digest for report in play(url, seeds)}
    assert again == {seed: summary.played[seed]["digest"] for seed in seeds}
