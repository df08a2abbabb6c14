"""Alembic's entry point: runs the versions on the connection that `kronos.storage.migrate` hands over."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="migrations",
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
