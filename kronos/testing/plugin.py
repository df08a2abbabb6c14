"""The fixture for pytest; installed with the package, by the entry point `kronos`.

Rule: nothing is imported or started before a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kronos.testing import TestEngine

__all__ = ["kronos_engine"]


@pytest.fixture
def kronos_engine() -> Iterator[TestEngine]:
    """An engine whose time is skipped, over a database of its own; `kronos_engine.app.serve(workflow)` first."""
    from kronos.testing import TestEngine

    with TestEngine() as engine:
        yield engine
