"""A PostgreSQL of our own, for whoever has none: one server per data folder, shared by every Kronos that uses it.

Rule 1: durable settings and a password, always; a local database is not a toy.
Rule 2: whoever comes first starts it, whoever comes later adopts it, the last one out stops it.
Rule 3: no system user is created, no permission of a folder that we did not make is changed.
"""

from kronos.storage.embedded.lifecycle import EmbeddedPostgres

__all__ = ["EmbeddedPostgres"]
