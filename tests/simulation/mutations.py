"""The engine broken on purpose, one line each: what the simulation must find.

Rule: a mutation replaces a production statement by its name as it is sent, or one decision of the engine; production
      code knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Mutation:
    """`texts` are sent instead of production statements; `patched` changes a decision while it is entered; `aims` are
    the statements at which faults bring it to light.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    patched: Callable[[], AbstractContextManager[object]] = nullcontext
    aims: tuple[str, ...] = ()


MUTATIONS: Final[dict[str, Mutation]] = {}
