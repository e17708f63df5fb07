"""${message}."""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
SETTLES: tuple[str, ...] = ()
"""The breaking changes this migration was reviewed for, as `gateway` names them when it refuses to start."""


def upgrade() -> None:
    """Bring the tables, and what is in them, to the new form."""
    ${upgrades if upgrades else "op.execute('SELECT 1')"}
