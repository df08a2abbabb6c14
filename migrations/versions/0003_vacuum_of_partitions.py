"""Schema version 3: a week's partition is vacuumed for its inserts when the week is over."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace the function that makes partitions; it sees to those that are there when it is called next."""
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().connection.driver_connection.execute(sql)


def downgrade() -> None:
    """Refuse, as every migration does."""
    raise NotImplementedError("code of version 2 works on schema version 3: there is nothing to go back for")
