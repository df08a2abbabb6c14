"""Schema version 1; the tour is in the .sql file beside this one."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().connection.driver_connection.execute(sql)


def downgrade() -> None:
    """Refuse: histories are not thrown away by a migration."""
    raise NotImplementedError("schema version 1 is the first: there is nothing below it")
