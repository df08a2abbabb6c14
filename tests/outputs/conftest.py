"""Bars to trade on, as in the tests of the loop."""

from __future__ import annotations

from tests.trading.conftest import walk

__all__ = ["walk"]
