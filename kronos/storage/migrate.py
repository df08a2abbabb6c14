"""The schema: brought up to date, or refused.

Rule 1: code works on any schema whose `min_code` it reaches, so that old workers finish while new ones deploy.
Rule 2: migrations run once, under a lock, on a connection of their own that keeps its full rights.
"""

from __future__ import annotations

from typing import Final

import psycopg

from kronos.errors import Unavailable
from kronos.storage.database import Connection, connect

__all__ = ["CODE_VERSION", "check_schema", "migrate"]

CODE_VERSION: Final = 3
"""The newest schema that this code knows."""

_LOCK: Final = 7306
_READ: Final = "SELECT version, min_code FROM kronos.schema_version"


def migrate(url: str) -> int:
    """Bring the schema at `url` up to date and return its version.

    Raises `Unavailable` when the database does not answer or its schema is too new for this code.
    """
    with connect(url, purpose="migrate", role=False) as connection:
        version = _present(connection)
        if version is not None and version >= CODE_VERSION:
            _ensure_partitions(connection)
            return check_schema(connection)
        connection.execute("SET lock_timeout = 0")
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        from kronos.storage.upgrading import upgrade  # Alembic, 0.1 s of every start that does not need it

        upgrade(url)
        _ensure_partitions(connection)
        return check_schema(connection)


def check_schema(connection: Connection) -> int:
    """Return the schema's version; raise `Unavailable` when there is none, or when it needs newer code."""
    try:
        row = connection.execute(_READ).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        raise Unavailable(
            "the database holds no Kronos schema: run `kronos dev`, or any command with it once"
        ) from None
    assert row is not None, "schema_version has one row"
    version, min_code = int(str(row[0])), int(str(row[1]))
    if min_code > CODE_VERSION:
        raise Unavailable(
            f"the database's schema is version {version} and needs code of version {min_code} or later; "
            f"this is {CODE_VERSION}: upgrade Kronos",
            version=version,
            min_code=min_code,
        )
    return version


def _present(connection: Connection) -> int | None:
    try:
        row = connection.execute(_READ).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return None
    return int(str(row[0])) if row else None


def _ensure_partitions(connection: Connection) -> None:
    connection.execute("SELECT kronos.ensure_partitions()")
