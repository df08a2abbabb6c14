"""The catalog's table in Postgres."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from kronos.errors import InvalidInput, NotFound
from kronos.ports.datasets import DatasetRow
from kronos.storage.database import Connections
from kronos.storage.statements import statement

__all__ = ["PostgresDatasets"]


class PostgresDatasets:
    """`ports.DatasetIndex`."""

    def __init__(self, session: Connections) -> None:
        self._session = session

    def add(self, row: DatasetRow) -> None:
        """List `row`; listing the same id and name twice changes nothing."""
        at = msgspec.structs.asdict(row)
        with self._session.transaction() as connection:
            connection.execute(statement("add_dataset"), at)

    def find(self, name_or_id: str) -> DatasetRow:
        """Return the newest dataset of that name, or the one of that id or id prefix; raise `NotFound`."""
        rows = self._rows(name_or_id)
        if not rows:
            known = ", ".join(dict.fromkeys(row.name for row in self.all()[:10])) or "none is imported yet"
            raise NotFound(f"dataset {name_or_id!r} is not in the catalog; known: {known}", dataset=name_or_id)
        named = [row for row in rows if row.name == name_or_id]
        if not named and len({row.id for row in rows}) > 1:
            raise InvalidInput(f"{name_or_id!r} is the beginning of several dataset ids: give more digits")
        return (named or rows)[0]

    def all(self) -> list[DatasetRow]:
        """Return every listed dataset, newest first."""
        return self._rows(None)

    def _rows(self, wanted: str | None) -> list[DatasetRow]:
        with self._session.connection() as connection:
            cursor = connection.execute(statement("find_datasets"), {"wanted": wanted})
            names = [column.name for column in cursor.description or ()]
            found = cursor.fetchall()
        return [DatasetRow(**cast("dict[str, Any]", dict(zip(names, row, strict=True)))) for row in found]
