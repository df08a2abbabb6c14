"""Invariants that one statement can judge: each returns the rows that break it, and what is wrong with them.

Rule: the statements are the files under `sql/fsck/empty`, named as the checks; a file that is put there is asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from kronos.app.fsck.finding import Finding
from kronos.app.fsck.reading import Reader
from kronos.storage.statements import statement_names

__all__ = ["check_schema", "check_tables"]


def check_tables(reader: Reader) -> Iterator[Finding]:
    """Yield every row that breaks one of them."""
    for check in statement_names("fsck/empty"):
        with reader.snapshot():
            for row, what in reader.stream(f"empty/{check}"):
                yield Finding(check=check, row=row, what=what)


def check_schema(reader: Reader) -> Iterator[Finding]:
    """Yield what the schema says of itself and its migrations do not, where their table is to be seen."""
    versions = reader.rows("read_schema_version")
    if len(versions) != 1:
        yield Finding(check="schema", row="schema_version: ", what=f"it has {len(versions)} rows, not one")
        return
    version, min_code, has_migrations = versions[0]
    if min_code > version:
        yield Finding(check="schema", row="schema_version: ", what=f"version {version} asks for code of {min_code}")
    migrated = reader.rows("read_migration") if has_migrations else [(version,)]
    if migrated != [(version,)]:
        told = ", ".join(str(found) for (found,) in migrated) or "none"
        yield Finding(check="schema", row="schema_version: ", what=f"it says {version}, the last migration is {told}")
