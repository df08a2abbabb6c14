"""Alembic runs the migrations; only a database that is behind makes a process import it."""

from __future__ import annotations

from typing import Any

import psycopg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from kronos.resources import resource_folder

__all__ = ["upgrade"]


def upgrade(url: str) -> None:
    """Bring the schema at `url` to the newest version."""
    config = Config()
    config.set_main_option("script_location", str(resource_folder("migrations")))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, application_name="kronos migrate"),
        poolclass=NullPool,
    )

    def steps(revision: Any, _context: object) -> Any:
        return script._upgrade_revs("head", revision)  # noqa: SLF001 - alembic.command does the same

    with engine.connect() as bound, EnvironmentContext(config, script, fn=steps, destination_rev="head"):
        config.attributes["connection"] = bound
        script.run_env()
        bound.commit()
    engine.dispose()
