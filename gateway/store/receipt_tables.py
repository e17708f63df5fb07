"""The tables of deliveries: what agencies handed in, under which key of theirs, and what became of every record."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from gateway.store.columns import KEY, PLAIN, Instant

SETTLED = "applied + unchanged + duplicate + rejected"


def delivery_table(metadata: MetaData) -> Table:
    """A delivery and its receipt. Every record sent is accepted, rejected or pending; `applied`, `unchanged` and `duplicate`
    (the store has a later telling) are accepted. `refusal`: why nothing of it could be taken. `pages` are in the store.
    """
    return Table(
        "delivery",
        metadata,
        Column("id", KEY, primary_key=True),
        Column("source", KEY, nullable=False),
        Column("operation", KEY, nullable=False),
        Column("idempotency_key", KEY, nullable=False),
        Column("content_digest", Text, nullable=False),
        Column("form", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("refusal", Text),
        Column("sent", BigInteger, nullable=False),
        Column("applied", BigInteger, nullable=False),
        Column("unchanged", BigInteger, nullable=False),
        Column("duplicate", BigInteger, nullable=False),
        Column("rejected", BigInteger, nullable=False),
        Column("pending", BigInteger, nullable=False),
        Column("pages", Integer, nullable=False),
        Column("page_size", Integer, nullable=False),
        Column("mapping_version", Text, nullable=False),
        Column("run_id", ForeignKey("run.id")),
        Column("received_at", Instant, nullable=False),
        Column("finished_at", Instant),
        UniqueConstraint("source", "operation", "idempotency_key"),
        CheckConstraint("status IN ('pending', 'done', 'refused')", name="delivery_status"),
        CheckConstraint(f"sent = {SETTLED} + pending", name="delivery_balances"),
        CheckConstraint("pending >= 0 AND (status <> 'done' OR pending = 0)", name="delivery_ends"),
        Index("delivery_received_at", "source", "received_at"),
    )


def delivery_record_table(metadata: MetaData) -> Table:
    """What became of each record, by its number in the delivery; `place` is its line, row or place in the file. `issues` name
    the columns of the agency."""
    return Table(
        "delivery_record",
        metadata,
        Column("delivery_id", ForeignKey("delivery.id"), primary_key=True),
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("place", BigInteger, nullable=False),
        Column("outcome", Text, nullable=False),
        Column("reason", Text),
        Column("issues", PLAIN),
        CheckConstraint(
            "outcome IN ('applied', 'unchanged', 'duplicate', 'quarantined')", name="delivery_record_outcome"
        ),
    )
