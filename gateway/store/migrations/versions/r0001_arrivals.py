"""What landed before arrivals were noted arrived once, when it landed; indexes that nothing reads any more go."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
SETTLES: tuple[str, ...] = ()


def upgrade() -> None:
    """Note an arrival for every payload that has none; new stores have neither."""
    inspector = sa.inspect(op.get_bind())
    there = set(inspector.get_table_names())
    if (
        not {"landing", "arrival"} <= there
        or op.get_bind().execute(sa.text("SELECT 1 FROM landing LIMIT 1")).first() is None
    ):
        return
    for table in sorted(there):
        for index in inspector.get_indexes(table):
            if index["name"] in (f"{table}_as_of", "link_of_source"):
                op.drop_index(str(index["name"]), table)
    op.execute(
        "INSERT INTO arrival (digest, source, operation, received_at, run_id, mapping_version)"
        " SELECT digest, source, operation, received_at, run_id, '' FROM landing"
        " WHERE NOT EXISTS (SELECT 1 FROM arrival WHERE arrival.digest = landing.digest)"
    )
