"""The determinism gate: the same run in another process, hash seed, locale, zone and clock ends in the same chains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trading import flows_of_determinism as flows

ROOT = Path(__file__).parents[2]

SHIFTED = """
import datetime, locale, runpy, sys, time
for name in ("C.UTF-8", "C"):
    try:
        locale.setlocale(locale.LC_ALL, name)
        break
    except locale.Error:
        continue
mono, wall = time.monotonic_ns, time.time
ticks = iter(range(10**9))
time.monotonic_ns = lambda: 17 * mono() + next(ticks) * 1_000_003
time.time = lambda: wall() + 3e8
time.time_ns = lambda: int(time.time() * 1e9)
time.tzset()
runpy.run_module("tests.trading.flows_of_determinism", run_name="__main__")
"""
"""A clock that runs seventeen times as fast and stands ten years ahead: caches are paced by it, chains are not."""


def elsewhere(seed: str, zone: str, language: str, *names: str) -> dict[str, list[str]]:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": language, "LANG": language}
    environment["PYTHONPATH"] = str(ROOT)
    ran = subprocess.run(
        [sys.executable, "-c", SHIFTED, *names], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def there() -> dict[str, list[str]]:
    return elsewhere("4242", "Pacific/Chatham", "tr_TR.UTF-8")


@pytest.mark.parametrize("flow", [*flows.FLOWS, *flows.SESSIONS])
def test_a_flow_ends_in_the_same_chains_under_another_hash_seed_locale_zone_and_clock(there, flow) -> None:
    assert flows.play(flow) == there[flow]


def test_the_gate_sees_a_run_that_depends_on_the_hash_seed() -> None:
    (name,) = flows.UNSTABLE
    chains = {elsewhere(seed, "UTC", "C", name)[name][0] for seed in ("1", "2", "3")}
    assert len(chains) > 1
