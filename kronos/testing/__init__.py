"""For tests of your own workflows: time that is skipped, and workers that die by a seed.

Rule: importing it costs nothing, so that the pytest fixture may be installed everywhere: each name is fetched from its
      home when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kronos.testing.clock import FakeClock
    from kronos.testing.engine import TestEngine, TestHandle
    from kronos.testing.scheduling import StuckError
    from kronos.testing.simulation import DivergedError, Ledger, Simulated, simulate

__all__ = ["DivergedError", "FakeClock", "Ledger", "Simulated", "StuckError", "TestEngine", "TestHandle", "simulate"]

_HOMES = {
    "FakeClock": "clock",
    "StuckError": "scheduling",
    "TestEngine": "engine",
    "TestHandle": "engine",
    "DivergedError": "simulation",
    "Ledger": "simulation",
    "Simulated": "simulation",
    "simulate": "simulation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kronos.testing' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"kronos.testing.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
