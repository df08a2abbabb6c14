"""The fence: what every transaction of an incarnation begins with.

Rule: the fence is taken, then a second statement asks whether the incarnation is alive: a snapshot from before the
      lock was granted would not see the reaper's verdict.  Both may travel with what follows them in one pipeline;
      nothing is committed before the answer was looked at.
"""

from __future__ import annotations

import psycopg

from kronos.errors import LeaseLost
from kronos.kernel.ids import IncarnationId
from kronos.storage.database import Connection
from kronos.storage.statements import statement

__all__ = ["ask_fence", "check_fence", "fenced"]

Cursor = psycopg.Cursor[tuple[object, ...]]


def ask_fence(connection: Connection, incarnation: IncarnationId) -> Cursor:
    """Send for the fence of `incarnation` in the open transaction, inside the caller's pipeline."""
    at = {"incarnation": incarnation}
    connection.execute(statement("fence"), at)
    return connection.execute(statement("check_alive"), at)


def check_fence(asked: Cursor, incarnation: IncarnationId) -> None:
    """Wait for the answer; raise `LeaseLost` when `incarnation` is dead."""
    if asked.fetchone() is None:
        raise LeaseLost(f"incarnation {incarnation} was declared dead: its runs belong to others now")


def fenced(connection: Connection, incarnation: IncarnationId) -> None:
    """Take the fence of `incarnation` in the open transaction; raise `LeaseLost` when it is dead."""
    with connection.pipeline():
        check_fence(ask_fence(connection, incarnation), incarnation)
