"""Where relations lead is kept once, with whether it holds, and no longer a second time for what holds now."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
SETTLES = ("current_link", "link.主键", "link.holds")
COLUMNS = "entity, key, source, relation, target"
SAME = "other.entity = link.entity AND other.key = link.key AND other.relation = link.relation AND other.target = link.target"


def upgrade() -> None:
    """Make the table anew, by the target first; of several sources that tell the same, the first is taken at its word."""
    if "current_link" not in sa.inspect(op.get_bind()).get_table_names():
        return
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "link_now",
        *(sa.Column(name, text, nullable=False) for name in COLUMNS.split(", ")),
        sa.Column("holds", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("entity", "relation", "target", "key", "source"),
        sqlite_with_rowid=False,
    )
    op.execute(
        f"INSERT INTO link_now ({COLUMNS}, holds) SELECT {COLUMNS},"
        f" EXISTS (SELECT 1 FROM current_link AS other WHERE {SAME})"
        f" AND NOT EXISTS (SELECT 1 FROM link AS other WHERE {SAME} AND other.source < link.source)"
        " FROM link"
    )
    op.drop_table("current_link")
    op.drop_table("link")
    op.rename_table("link_now", "link")
