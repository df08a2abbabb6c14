"""A promise whose line of SQL is taken away is seen to be broken: the simulation could fail."""

from __future__ import annotations

import pytest

from tests.simulation.conductor import databases
from tests.simulation.mutations import MUTATIONS
from tests.simulation.player import play

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(120)]

SEEDS_MAX = 60
"""How many seeds a mutation may take until it is found."""


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_is_broken_on_purpose_is_found_and_what_is_whole_passes_the_same_seed(postgres_url, name):
    with databases(postgres_url, 2) as (broken_url, whole_url):
        found = next((report for report in play(broken_url, range(SEEDS_MAX), name) if not report.is_fine), None)
        assert found is not None, f"{name}: nothing was found in {SEEDS_MAX} seeds"
        print(found)
        (whole,) = play(whole_url, range(found.seed, found.seed + 1), name, whole=True)
    assert whole.is_fine, whole
