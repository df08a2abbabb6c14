"""How functions are compiled: cached on disk, without fast mathematics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, cast

import numba

__all__ = ["NONE", "compiled"]

F = TypeVar("F", bound=Callable[..., object])

NONE: Final = -(2**62)
"""No price: below every tick."""


def compiled(function: F) -> F:
    """Return `function` compiled at its first call, or read from the cache of an earlier process."""
    return cast("F", numba.njit(cache=True, nogil=True)(function))
