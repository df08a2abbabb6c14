"""Whatever a seed lets go wrong, no promise of the engine is broken."""

from __future__ import annotations

import re
import signal

import pytest

from kronos.storage.statements import statement_names
from tests.simulation.conductor import Summary, conduct, databases
from tests.simulation.player import play
from tests.simulation.reach import AIMS, OUT_OF_REACH

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(400)]

SEEDS = range(1_000)


@pytest.fixture(scope="module")
def summary(postgres_url) -> Summary:
    return conduct(postgres_url, SEEDS)


def test_no_seed_breaks_a_rule(summary):
    assert len(summary.played) == len(SEEDS)
    assert not summary.failed, "\n".join(summary.failed.values())


def test_every_statement_is_aimed_at_or_listed_with_the_reason_why_not(summary):
    assert set(statement_names()) - set(OUT_OF_REACH) <= set(AIMS)
    assert sorted(set(OUT_OF_REACH) - set(statement_names())) == [], "these are gone: take them off the list"
    missed = set(statement_names()) - set(OUT_OF_REACH) - summary.visited
    assert not missed, f"no fault struck at {sorted(missed)}"


def test_an_equal_seed_gives_an_equal_history(postgres_url, summary):
    seeds = SEEDS[:: len(SEEDS) // 12]
    with databases(postgres_url, 1) as (url,):
        again = {report.seed: report.digest for report in play(url, seeds)}
    assert again == {seed: summary.played[seed]["digest"] for seed in seeds}


def test_an_interrupted_simulation_says_where_to_go_on_and_no_seed_is_left_out(
    postgres_url, summary, capsys, monkeypatch
):
    add = Summary.add

    def interrupted(self, line):
        add(self, line)
        if len(self.played) == 4:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as at_the_fourth:
        at_the_fourth.setattr(Summary, "add", interrupted)
        first = conduct(postgres_url, range(10))
    assert len(first.played) == 4
    said = re.fullmatch(r"go on with: make simulate SEEDS=(\d+):(\d+)\n", capsys.readouterr().out)
    assert said is not None
    rest = conduct(postgres_url, range(int(said[1]), int(said[2])))
    digests = {seed: line["digest"] for seed, line in (first.played | rest.played).items()}
    assert digests == {seed: summary.played[seed]["digest"] for seed in range(10)}
