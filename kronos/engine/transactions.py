"""Database steps: a step that is given a transaction, which commits with its outcome or not at all.

Rule 1: the step cannot commit; what it returns is recorded in its own transaction, so its rows and its checkpoint are
        there together or not at all.
Rule 2: a conflict with another transaction (40001, 40P01) and a connection that broke are no failure of the step: it is
        run again, within its limit, and nothing of the first try stays.
Rule 3: giving an attempt up and committing it exclude each other (`Services.begin_commit`).
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from kronos.core.signature import Injected
from kronos.errors import InvalidInput

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import psycopg

__all__ = ["Conflicts", "Transaction"]

Params: TypeAlias = Sequence[Any] | Mapping[str, Any]
_ENDS: Final = re.compile(
    r"\s*(begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+(work\s+|transaction\s+)?to\b))\b",
    re.IGNORECASE,
)
_AGAIN: Final = frozenset({"40001", "40P01"})
CONFLICTS_MAX: Final = 20
"""Tries of one attempt that lost against another transaction; then it fails, and the step's own retries decide."""
BACKOFF_S: Final = 0.01
BACKOFF_MAX_S: Final = 0.5


class Transaction(Injected):
    """The transaction of a database step; annotate a parameter of an `effect="tx"` step with it.

    In a unit test, make one of any psycopg connection that is not in autocommit mode.
    """

    __slots__ = ("_connection",)
    role: ClassVar[str] = "transaction"

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, query: Any, params: Params | None = None) -> psycopg.Cursor[Any]:
        """Run a statement (psycopg's placeholders: `%s`, `%(name)s`) and return the cursor with its rows."""
        _refuse_end(query)
        return self._connection.execute(query, params)

    def executemany(self, query: Any, rows: Iterable[Params]) -> None:
        """Run a statement once for each of `rows`, in one round trip."""
        _refuse_end(query)
        with self._connection.cursor() as cursor:
            cursor.executemany(query, rows)

    def cursor(self, **options: Any) -> psycopg.Cursor[Any]:
        """Return a cursor: for COPY, row factories, server-side reading (`name=`)."""
        cursor: psycopg.Cursor[Any] = self._connection.cursor(**options)
        return cursor

    def savepoint(self) -> AbstractContextManager[object]:
        """Return a block that is undone when it raises, while the transaction goes on."""
        return self._connection.transaction()


class Conflicts:
    """How often one attempt may lose against others."""

    def __init__(self, timeout_s: float | None) -> None:
        self._until = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
        self._lost = 0

    def may_try_again(self, error: BaseException, *, connection_lost: bool) -> bool:
        """Tell whether the attempt is made again, after a pause, because of what ended it."""
        if not connection_lost and not _is_conflict(error):
            return False
        self._lost += not connection_lost
        if self._lost >= CONFLICTS_MAX or time.monotonic() >= self._until:
            return False
        pause_s = min(BACKOFF_MAX_S, BACKOFF_S * 2**self._lost)
        time.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter only
        return True


def _is_conflict(error: BaseException | None) -> bool:
    while error is not None:
        if getattr(error, "sqlstate", None) in _AGAIN:
            return True
        error = error.__cause__ or error.__context__
    return False


def _refuse_end(query: object) -> None:
    if isinstance(query, str) and _ENDS.match(query):
        raise InvalidInput(
            f"a database step cannot end its transaction ({query.split()[0].upper()}): "
            "Kronos commits it with the step's outcome, and rolls it back when the step raises",
            field="query",
            value=query,
        )
