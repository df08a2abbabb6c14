"""Whose transaction a request is part of: one of our own, or the caller's.

Rule: workers hear of a request when its transaction commits, and of one that is rolled back never.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors as pg
from psycopg.rows import tuple_row

from kronos.errors import InvalidInput
from kronos.storage.database import Session

__all__ = ["Cursor", "asking"]

Cursor = psycopg.Cursor[tuple[Any, ...]]


@contextmanager
def asking(session: Session, conn: object | None) -> Iterator[Cursor]:
    """Yield a cursor in a transaction of `session`, or in the caller's own on `conn`; workers look when it commits."""
    if conn is None:
        with session.transaction() as connection, connection.cursor() as cursor:
            yield cursor
            cursor.execute("NOTIFY kronos_work")
        return
    if not isinstance(conn, psycopg.Connection):
        raise InvalidInput(
            f"conn is a {type(conn).__name__}: give the psycopg.Connection whose transaction this is part of",
            field="conn",
        )
    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            yield cursor
            cursor.execute("NOTIFY kronos_work")
    except (pg.InvalidSchemaName, pg.UndefinedTable):
        raise InvalidInput(
            "conn: its database has no Kronos schema: connect to the one of DATABASE_URL", field="conn"
        ) from None
    except pg.InsufficientPrivilege as error:
        raise InvalidInput(
            f"conn: its login may not submit ({error.diag.message_primary}): GRANT kronos_runtime to it", field="conn"
        ) from None
