"""What a database step needs of the store: a transaction of its own that ends with the step's outcome."""

from __future__ import annotations

import uuid
from contextlib import AbstractContextManager
from typing import Any, Protocol

from kronos.kernel.ids import IncarnationId, RunId

__all__ = ["DatabaseSteps", "OpenTransaction"]


class OpenTransaction(Protocol):
    """One transaction, begun; it is rolled back where it is left without `commit`."""

    @property
    def connection(self) -> Any:
        """The psycopg connection, inside the transaction."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether the connection broke: nothing of the transaction happened."""
        ...

    def commit(self, body: bytes) -> None:
        """Record the outcome in `body` and commit, all or nothing; an answer that is lost is asked for.

        Raises `LeaseLost` or `Cancelled` when the attempt counts for nothing any more, `InvalidInput` when the step
        ended the transaction itself or went on after it had failed, and what the database says of the commit.
        """
        ...


class DatabaseSteps(Protocol):
    """Transactions of one incarnation, a few at a time."""

    @property
    def incarnation(self) -> IncarnationId:
        """Whose they are."""
        ...

    def begin(
        self, run: RunId, step: str, attempt: int, *, command: uuid.UUID
    ) -> AbstractContextManager[OpenTransaction]:
        """Begin one, whose outcome will be the inbox row `command`; waits while all are in use.

        Raises `Unavailable`.
        """
        ...

    def sent(self) -> None:
        """Say that an outcome waits in an inbox of ours."""
        ...
