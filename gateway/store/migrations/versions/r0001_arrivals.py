"""What landed before arrivals were noted arrived once, when it landed; an index that nothing reads any more goes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
SETTLES: tuple[str, ...] = ()


def upgrade() -> None:
    """Note an arrival for every payload that has none; new stores have neither."""
    there = set(sa.inspect(op.get_bind()).get_table_names())
    if "link" in there:
        op.execute("DROP INDEX IF EXISTS link_of_source")
    if {"landing", "arrival"} <= there:
        op.execute(
            "INSERT INTO arrival (digest, source, operation, received_at, run_id, mapping_version)"
            " SELECT digest, source, operation, received_at, run_id, '' FROM landing"
            " WHERE NOT EXISTS (SELECT 1 FROM arrival WHERE arrival.digest = landing.digest)"
        )
