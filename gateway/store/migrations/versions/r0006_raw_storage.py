"""Payloads are packed before they are kept: PostgreSQL need not try to pack them a second time."""

from alembic import op

revision = "0006"
down_revision = "0005"
SETTLES = ()


def upgrade() -> None:
    """Keep the column beside the table, as it is."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE landing ALTER COLUMN raw SET STORAGE EXTERNAL")
