"""All suites, each within its budget of wall time; what `make test` runs.

    python tools/test.py                 every suite, one after another; exit code 1 when one fails or takes too long
    python tools/test.py ARGUMENTS       pytest with these arguments, and no budget

The unit suite, which holds everything that is not marked otherwise, runs in two processes.  The others have the machine
to themselves: they kill processes and measure how soon somebody takes over, or use both processors already.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from typing import NamedTuple

APART = ("durability", "simulation")
"""Markers of the suites that run alone."""

TWO = ("-n", "2", "--no-loadscope-reorder", "--dist")
"""The order is that of `tests/conftest.py`: what takes long comes first."""


class Suite(NamedTuple):
    """`budget_s` is wall time on two processors; together with set-up and lint it stays under 15 minutes."""

    name: str
    budget_s: float
    arguments: tuple[str, ...]


SUITES = (
    Suite("unit", 360.0, ("-m", f"not ({' or '.join(APART)})", *TWO, "loadfile", "--durations", "40")),
    Suite("durability", 220.0, ("-m", "durability")),
    Suite("simulation", 240.0, ("-m", "simulation")),
)

PYTEST = (sys.executable, "-m", "pytest")
SUMMARY = re.compile(r"^=+ (.*\d+ (?:passed|failed|errors?).*) in [\d.]+s.*=+$")
NO_TESTS = 5


def run(suite: Suite) -> tuple[bool, str]:
    """Run one suite; return whether it passed within its budget, and its line of the summary."""
    print(f"\n── {suite.name}: pytest {' '.join(suite.arguments)}", flush=True)
    began = time.monotonic()
    process = subprocess.Popen([*PYTEST, *suite.arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None, "it was asked for"
    counts = "no summary"
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        if found := SUMMARY.match(line.rstrip()):
            counts = found[1]
    code = process.wait()
    spent_s = time.monotonic() - began
    over = spent_s > suite.budget_s
    line = f"{suite.name:<12} {spent_s:6.1f} s of {suite.budget_s:4.0f} s{'  OVER BUDGET' if over else ''}  {counts}"
    return code == 0 and not over, line


def main(arguments: list[str]) -> int:
    """Run what is asked for and return the exit code."""
    if arguments:
        return subprocess.call([*PYTEST, *arguments])
    ended = [run(suite) for suite in SUITES]
    print("\n── suites")
    for _, line in ended:
        print(line)
    passed = all(ok for ok, _ in ended)
    print("every suite passed within its budget" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
