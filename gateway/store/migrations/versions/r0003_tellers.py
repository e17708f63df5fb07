"""Which sources told of which entities so far is written down."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
SETTLES: tuple[str, ...] = ()


def upgrade() -> None:
    """Find the sources in every table of tellings: those that a table of what holds now is made of."""
    there = set(sa.inspect(op.get_bind()).get_table_names())
    for table in sorted(there):
        if f"current_{table}" in there:
            op.execute(
                f"INSERT INTO teller (told_in, source) SELECT DISTINCT '{table}', source FROM \"{table}\" AS told"
                f" WHERE NOT EXISTS (SELECT 1 FROM teller WHERE told_in = '{table}' AND teller.source = told.source)"
            )
