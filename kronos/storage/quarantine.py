"""The list of held-back files in Postgres."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from kronos.ports.quarantine import HeldBack
from kronos.storage.database import Session
from kronos.storage.statements import statement

__all__ = ["PostgresQuarantine"]


class PostgresQuarantine:
    """`ports.quarantine.Quarantine`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def hold(self, row: HeldBack) -> None:
        """Keep what the gate said of a file."""
        with self._session.transaction() as connection:
            connection.execute(statement("hold_back"), msgspec.structs.asdict(row))

    def settle(self, sha256: str) -> None:
        """Forget that a file was held back: it has become a dataset."""
        with self._session.transaction() as connection:
            connection.execute(statement("settle_quarantine"), {"sha256": sha256})

    def held(self) -> list[HeldBack]:
        """Return what is held back, newest first."""
        with self._session.connection() as connection:
            cursor = connection.execute(statement("list_quarantine"))
            names = [column.name for column in cursor.description or ()]
            found = cursor.fetchall()
        return [HeldBack(**cast("dict[str, Any]", dict(zip(names, row, strict=True)))) for row in found]
