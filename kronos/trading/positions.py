"""Where in a run something stands: `(row, sub)`, fixed by the datasets alone.

Rule 1: `row` is the ordinal of a market event in the merged stream; `sub` counts what follows it before the next row.
Rule 2: `(row, 0)` is the market event itself, so a position also names a cause.
Rule 3: hash blocks end at every 4,096th row, always, so that two runs line up on any machine.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["BLOCK_ROWS", "SUBS_MAX", "Position", "block_end", "cause_id", "position_of"]

BLOCK_ROWS: Final = 4096
"""Rows in a hash block."""

_SUB_BITS: Final = 20
SUBS_MAX: Final = (1 << _SUB_BITS) - 1
"""Records that one row may bring: more is a flood, and refused."""


class Position(NamedTuple):
    """A place in a run; `Position(n)` is the moment before row `n` is dispatched."""

    row: int
    sub: int = 0


def cause_id(row: int, sub: int) -> int:
    """Return the one-integer name of a position: `row · 2^20 + sub`."""
    return row << _SUB_BITS | sub


def position_of(cause: int) -> Position:
    """Return the position that `cause_id` named."""
    return Position(cause >> _SUB_BITS, cause & SUBS_MAX)


def block_end(row: int) -> int:
    """Return the row at which the hash block that holds `row` ends (exclusive)."""
    return (row // BLOCK_ROWS + 1) * BLOCK_ROWS
