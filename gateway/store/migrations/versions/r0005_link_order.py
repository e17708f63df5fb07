"""Links are kept by what tells them apart first: the target or the key, behind which little else has to be compared."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
SETTLES = ("link.主键",)
COLUMNS = "entity, key, source, relation, target, holds"
KEY = ("target", "relation", "entity", "key", "source")


def upgrade() -> None:
    """Make the table anew in another order."""
    if tuple(sa.inspect(op.get_bind()).get_pk_constraint("link")["constrained_columns"]) == KEY:
        return
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "link_now",
        *(sa.Column(name, text, nullable=False) for name in COLUMNS.split(", ")[:-1]),
        sa.Column("holds", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(*KEY),
        sqlite_with_rowid=False,
    )
    op.execute(f"INSERT INTO link_now ({COLUMNS}) SELECT {COLUMNS} FROM link ORDER BY {', '.join(KEY)}")
    op.drop_table("link")
    op.rename_table("link_now", "link")
