"""The tables of data return: streams, who may write to them, their runs and ledgers, what was refused, compared and shadowed."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
)

from gateway.store.columns import KEY, PLAIN, Instant

PARTS = "applied + unchanged + duplicate + quarantined"


def stream_table(metadata: MetaData) -> Table:
    """How far one `changes` operation has been read, when it is due again, and why a person has to look at it first.

    `cursor` is the value up to which everything was taken in, and `cursor_key` the place of the last row where it has one.
    `is_from_start`: a person said so, or nothing was ever told; else a stream without a cursor has lost it.
    """
    return Table(
        "stream",
        metadata,
        Column("source", KEY, primary_key=True),
        Column("operation", KEY, primary_key=True),
        Column("cursor", Text),
        Column("cursor_key", Text),
        Column("is_from_start", Boolean, nullable=False, server_default=false()),
        Column("updated_at", Instant, nullable=False),
        Column("due_at", Instant),
        Column("reconcile_due_at", Instant),
        Column("failures", Integer, nullable=False, server_default="0"),
        Column("halted_at", Instant),
        Column("halt_reason", Text),
        Index("stream_due_at", "due_at"),
    )


def lease_table(metadata: MetaData) -> Table:
    """Who may write to a stream, until when by the database's clock. `fence` grows with every holder."""
    return Table(
        "lease",
        metadata,
        Column("source", KEY, primary_key=True),
        Column("operation", KEY, primary_key=True),
        Column("holder", Text, nullable=False),
        Column("fence", BigInteger, nullable=False),
        Column("seconds", Float, nullable=False),
        Column("expires_at", Instant, nullable=False),
    )


def run_table(metadata: MetaData) -> Table:
    """Runs. `fetched` is what the worker got from the source, the others are sums of the ledger: without their balance the
    database lets no run succeed. `notes` are what was worth telling on the way, `cursor` is where the stream stood then."""
    return Table(
        "run",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("source", KEY, nullable=False),
        Column("operation", KEY, nullable=False),
        Column("kind", Text, nullable=False, server_default="changes"),
        Column("started_at", Instant, nullable=False),
        Column("finished_at", Instant),
        Column("status", Text, nullable=False),
        Column("error", Text),
        Column("holder", Text),
        Column("fence", BigInteger),
        Column("expected", BigInteger),
        Column("fetched", BigInteger),
        Column("applied", BigInteger),
        Column("unchanged", BigInteger),
        Column("duplicate", BigInteger),
        Column("quarantined", BigInteger),
        Column("notes", PLAIN),
        Column("cursor", Text),
        CheckConstraint("status IN ('running', 'succeeded', 'failed')", name="run_status"),
        CheckConstraint(f"status <> 'succeeded' OR COALESCE(fetched, -1) = COALESCE({PARTS}, -2)", name="run_balances"),
        Index("run_of_stream", "source", "operation"),
    )


def ledger_table(metadata: MetaData) -> Table:
    """What became of the records of each page of a run; it must balance. `cursor`: where the stream stood after it."""
    return Table(
        "ledger",
        metadata,
        Column("run_id", ForeignKey("run.id"), primary_key=True),
        Column("page", Integer, primary_key=True, autoincrement=False),
        Column("fetched", Integer, nullable=False),
        Column("applied", Integer, nullable=False),
        Column("unchanged", Integer, nullable=False),
        Column("duplicate", Integer, nullable=False),
        Column("quarantined", Integer, nullable=False),
        Column("cursor", Text),
        Column("at", Instant, nullable=False),
        CheckConstraint(f"fetched = {PARTS}", name="ledger_balances"),
    )


def quarantine_table(metadata: MetaData) -> Table:
    """Records that were not taken, each kept once for each version of the mapping that refused it.

    `rule` names what refused it, `raw_digest` the payload it stood in. `resolved_at`: when a replay took it, or found that
    the store has a later telling.
    """
    return Table(
        "quarantine",
        metadata,
        Column("source", KEY, primary_key=True),
        Column("operation", KEY, primary_key=True),
        Column("entity", KEY, primary_key=True),
        Column("record_digest", Text, primary_key=True),
        Column("mapping_version", Text, primary_key=True),
        Column("run_id", ForeignKey("run.id")),
        Column("payload", PLAIN, nullable=False),
        Column("reason", Text, nullable=False),
        Column("step", Text, nullable=False),
        Column("rule", Text),
        Column("spec_version", Text),
        Column("raw_digest", Text),
        Column("at", Instant, nullable=False),
        Column("resolved_at", Instant),
        Column("resolution", Text),
        Index("quarantine_open", "source", "resolved_at", "at"),
    )


def mapping_task_table(metadata: MetaData) -> Table:
    """Work for who looks after a mapping: one for each code table of a source, with every code it does not know."""
    return Table(
        "mapping_task",
        metadata,
        Column("source", KEY, primary_key=True),
        Column("codes", KEY, primary_key=True),
        Column("element", KEY, nullable=False),
        Column("seen", PLAIN, nullable=False),
        Column("opened_at", Instant, nullable=False),
        Column("last_seen", Instant, nullable=False),
        Column("closed_at", Instant),
    )


def shape_table(metadata: MetaData) -> Table:
    """Every field that records of a stream had, of what kind, and whether every record has it: what drift is told by."""
    return Table(
        "shape",
        metadata,
        Column("source", KEY, primary_key=True),
        Column("operation", KEY, primary_key=True),
        Column("path", KEY, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("is_mapped", Boolean, nullable=False),
        Column("is_always", Boolean, nullable=False),
        Column("first_seen", Instant, nullable=False),
        Column("announced_at", Instant),
    )


def comparison_table(metadata: MetaData) -> Table:
    """What a reconciliation found in one slice of a source: counts and digests of both sides, and what was mended."""
    return Table(
        "comparison",
        metadata,
        Column("run_id", ForeignKey("run.id"), primary_key=True),
        Column("slice", KEY, primary_key=True),
        Column("theirs", BigInteger, nullable=False),
        Column("ours", BigInteger, nullable=False),
        Column("their_digest", Text, nullable=False),
        Column("our_digest", Text, nullable=False),
        Column("missing", BigInteger, nullable=False),
        Column("different", BigInteger, nullable=False),
        Column("surplus", BigInteger, nullable=False),
        Column("mended", BigInteger, nullable=False),
    )


def shadow_key_table(metadata: MetaData) -> Table:
    """What a refresh or a reconciliation was told last of each record, to be compared with what the store says."""
    return Table(
        "shadow_key",
        metadata,
        Column("run_id", ForeignKey("run.id"), primary_key=True),
        Column("key", KEY, primary_key=True),
        Column("source_updated_at", Instant),
        Column("change_no", BigInteger),
        Column("digest", Text, nullable=False),
        Column("slice", KEY, nullable=False),
        Column("is_gone", Boolean, nullable=False),
        Column("page", Integer, nullable=False),
        Column("received_at", Instant, nullable=False),
    )


def shadow_table(metadata: MetaData) -> Table:
    """Pages of a refresh or a reconciliation that is not done: nobody who asks sees them until they are swapped in."""
    return Table(
        "shadow",
        metadata,
        Column("run_id", ForeignKey("run.id"), primary_key=True),
        Column("page", Integer, primary_key=True, autoincrement=False),
        Column("raw", LargeBinary, nullable=False),
        Column("media_type", Text, nullable=False),
        Column("received_at", Instant, nullable=False),
        Column("records", PLAIN, nullable=False),
    )
