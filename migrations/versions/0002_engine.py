"""Schema version 2: the engine complete.  One .sql file a capability, in the folder beside this one, in their order."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add everything."""
    connection = op.get_bind().connection.driver_connection
    for path in sorted(Path(__file__).with_suffix("").glob("*.sql")):
        connection.execute(path.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: histories are not thrown away by a migration."""
    raise NotImplementedError("schema version 2 holds histories that version 1 cannot read")
