"""The tables of the store: one per entity, derived from the specification, and those that say how its rows came to be."""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from gateway.store import receipt_tables
from gateway.store import stream_tables as made
from gateway.store.columns import KEY, PLAIN, Instant, Packed, column_type, current_type
from gateway.store.indexes import add_indexes
from schema.names import snake
from schema.registry import OWNER, Entity, Registry

ANONYMOUS = text("substr(target, 1, 1) = '~'")
"""That a link leads to something that nobody identified."""
WRITTEN = text("written_by IS NOT NULL")
"""Of changes: that their transaction is known, which SQLite does not need to know."""
BY_KEY: Mapping[str, Any] = {"sqlite_with_rowid": False}
"""Of a table whose rows are hardly more than their key: SQLite keeps the rows in the index of the key and nowhere else."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Every table of the store."""

    metadata: MetaData
    entities: Mapping[str, Table]
    link: Table
    current: Mapping[str, Table]
    history: Table
    landing: Table
    arrival: Table
    answer: Table
    identity: Table
    agency_ordinal: Table
    agency_serial: Table
    issue: Table
    stream: Table
    lease: Table
    run: Table
    ledger: Table
    quarantine: Table
    mapping_task: Table
    shape: Table
    comparison: Table
    shadow: Table
    shadow_key: Table
    changed: Table
    made_by: Table
    teller: Table
    delivery: Table
    delivery_record: Table
    statements: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)
    """What is asked of these tables again and again, by the shape of the question."""


def make_tables(registry: Registry) -> Tables:
    """The tables for a specification."""
    metadata = MetaData()
    return Tables(
        metadata,
        {entity.name: _entity(metadata, entity) for entity in registry.entities.values()},
        link=_link(metadata),
        current={entity.name: _current(metadata, registry, entity) for entity in registry.entities.values()},
        history=_history(metadata),
        landing=_landing(metadata),
        arrival=_arrival(metadata),
        answer=_answer(metadata),
        identity=_identity(metadata),
        agency_ordinal=_agency_ordinal(metadata),
        agency_serial=_agency_serial(metadata),
        issue=_issue(metadata),
        stream=made.stream_table(metadata),
        lease=made.lease_table(metadata),
        run=made.run_table(metadata),
        ledger=made.ledger_table(metadata),
        quarantine=made.quarantine_table(metadata),
        mapping_task=made.mapping_task_table(metadata),
        shape=made.shape_table(metadata),
        comparison=made.comparison_table(metadata),
        shadow=made.shadow_table(metadata),
        shadow_key=made.shadow_key_table(metadata),
        changed=_changed(metadata),
        made_by=_made_by(metadata),
        teller=_teller(metadata),
        delivery=receipt_tables.delivery_table(metadata),
        delivery_record=receipt_tables.delivery_record_table(metadata),
    )


def _entity(metadata: MetaData, entity: Entity) -> Table:
    """What one source tells of one entity. `as_of`: when it last told so; `fetched_at`: when it first told these values.

    `refs` and `embedded` are relation -> keys: what the record refers to, and what stood inside it.
    """
    name = snake(entity.name)
    return Table(
        name,
        metadata,
        *_bookkeeping(),
        *(Column(element_column(element.name), column_type(element.format)) for element in entity.elements.values()),
    )


def _bookkeeping() -> Iterator[Column[Any]]:
    """The columns every entity's table has beside its elements."""
    yield from (
        Column("key", KEY, primary_key=True),
        Column("source", KEY, primary_key=True),
        Column(OWNER, KEY, nullable=False),
        Column("refs", PLAIN, nullable=False),
        Column("embedded", PLAIN, nullable=False),
        Column("source_updated_at", Instant),
        Column("change_no", BigInteger),
        Column("batch_no", Text),
        Column("source_record_id", Text),
        Column("raw_digest", Text, nullable=False),
        Column("record_digest", Text, nullable=False),
        Column("fetched_at", Instant, nullable=False),
        Column("as_of", Instant, nullable=False),
        Column("spec_version", Text, nullable=False),
        Column("mapping_version", Text, nullable=False),
        Column("deleted_at", Instant),
    )


BOOKKEEPING = frozenset(column.name for column in _bookkeeping())


def element_column(name: str) -> str:
    """The column of an element: its name, unless the row itself says something under that name (SourceRecord's would)."""
    return f"element_{name}" if name in BOOKKEEPING else name


def _link(metadata: MetaData) -> Table:
    """Every reference of every entity that is not deleted, the embedded ones among them, as each source tells it.

    `holds`: that the relation leads there now, by the word that counts; of several sources one is chosen for each relation.
    What tells rows apart comes first in the keys, since few columns have to be compared then.
    """
    return Table(
        "link",
        metadata,
        Column("entity", KEY, nullable=False),
        Column("key", KEY, nullable=False),
        Column("source", KEY, nullable=False),
        Column("relation", KEY, nullable=False),
        Column("target", KEY, nullable=False),
        Column("holds", Boolean, nullable=False),
        PrimaryKeyConstraint("target", "relation", "entity", "key", "source"),
        Index("link_of", "key", "entity", "relation"),
        Index("link_anonymous", "source", "target", postgresql_where=ANONYMOUS, sqlite_where=ANONYMOUS),
        **BY_KEY,
    )


def _current(metadata: MetaData, registry: Registry, entity: Entity) -> Table:
    """One row for each entity, put together from all its tellings, with the indexes that lists need."""
    name = f"current_{snake(entity.name)}"
    table = Table(
        name,
        metadata,
        Column("key", KEY, primary_key=True),
        Column(OWNER, KEY, nullable=False),
        *(Column(element_column(e.name), current_type(e.format)) for e in entity.elements.values()),
    )
    add_indexes(table, registry, entity, {name: element_column(name) for name in entity.elements})
    return table


def _history(metadata: MetaData) -> Table:
    """Everything a source told of an entity that it does not tell now, each as the row it was or would have been.

    The source's own time and number of change say when it held, `recorded_at` and `superseded_at` when the store said so; they
    are equal for what came too late to hold at all.
    """
    return Table(
        "history",
        metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("entity", KEY, nullable=False),
        Column("key", KEY, nullable=False),
        Column("source", KEY, nullable=False),
        Column("source_updated_at", Instant),
        Column("change_no", BigInteger),
        Column("record_digest", Text, nullable=False),
        Column("recorded_at", Instant, nullable=False),
        Column("superseded_at", Instant, nullable=False),
        Column("row", PLAIN, nullable=False),
        Index("history_of", "entity", "key", "source"),
    )


def _landing(metadata: MetaData) -> Table:
    """Payloads as they arrived, each kept once."""
    return Table(
        "landing",
        metadata,
        Column("digest", Text, primary_key=True),
        Column("source", KEY, nullable=False),
        Column("operation", KEY, nullable=False),
        Column("media_type", Text, nullable=False),
        Column("raw", Packed, nullable=False),
        Column("received_at", Instant, nullable=False),
        Column("run_id", ForeignKey("run.id")),
    )


def _arrival(metadata: MetaData) -> Table:
    """Each time a payload arrived: from where, in which run, and, where it answers a lookup, which texts were asked for."""
    return Table(
        "arrival",
        metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("digest", ForeignKey("landing.digest"), nullable=False),
        Column("source", KEY, nullable=False),
        Column("operation", KEY, nullable=False),
        Column("received_at", Instant, nullable=False),
        Column("run_id", ForeignKey("run.id")),
        Column("mapping_version", Text, nullable=False),
        Column("asked", PLAIN),
        Index("arrival_of", "source", "operation"),
        Index("arrival_digest", "digest"),
    )


def _answer(metadata: MetaData) -> Table:
    """What a lookup by a key was last answered with: known to be empty is not the same as never asked."""
    return Table(
        "answer",
        metadata,
        Column("source", KEY, primary_key=True),
        Column("operation", KEY, primary_key=True),
        Column("key_text", KEY, primary_key=True),
        Column("entity", KEY),
        Column("entity_keys", PLAIN, nullable=False),
        Column("as_of", Instant, nullable=False),
    )


def _identity(metadata: MetaData) -> Table:
    """The value the gateway allotted to an entity, by the entity's key; given once, never changed."""
    return Table(
        "identity",
        metadata,
        Column("entity", KEY, primary_key=True),
        Column("natural_key", KEY, primary_key=True),
        Column("value", KEY, nullable=False),
        Column("allotted_at", Instant, nullable=False),
        UniqueConstraint("entity", "value"),
        **BY_KEY,
    )


def _agency_ordinal(metadata: MetaData) -> Table:
    return Table(
        "agency_ordinal",
        metadata,
        Column("agency_code", KEY, primary_key=True),
        Column("ordinal", Integer, nullable=False, unique=True),
    )


def _agency_serial(metadata: MetaData) -> Table:
    """The last serial number given in the name of an agency in a year."""
    return Table(
        "agency_serial",
        metadata,
        Column("agency_code", KEY, primary_key=True),
        Column("year", Integer, primary_key=True, autoincrement=False),
        Column("last", Integer, nullable=False),
    )


def _issue(metadata: MetaData) -> Table:
    """Bad values in data, and the top-level record each was last found in.

    `digest` is of (source, entity, key, element, check_type, raw).
    """
    return Table(
        "issue",
        metadata,
        Column("digest", Text, primary_key=True),
        Column("source", KEY, nullable=False),
        Column("entity", KEY, nullable=False),
        Column("key", KEY),
        Column("record_entity", KEY, nullable=False),
        Column("record_key", KEY, nullable=False),
        Column("element", KEY, nullable=False),
        Column("element_id", Text, nullable=False),
        Column("check_type", Text, nullable=False),
        Column("severity", Text, nullable=False, server_default="error"),
        Column("reason", Text, nullable=False),
        Column("raw", Text),
        Column("first_seen", Instant, nullable=False),
        Column("last_seen", Instant, nullable=False),
        Column("times", Integer, nullable=False),
        Column("resolved_at", Instant),
        Index("issue_record", "source", "record_entity", "record_key"),
        Index("issue_of_record", "record_entity", "record_key"),
        Index("issue_last_seen", "last_seen"),
    )


def _made_by(metadata: MetaData) -> Table:
    """By which rule of whose word counts the rows of what holds now were put together, for each entity."""
    return Table(
        "made_by",
        metadata,
        Column("entity", KEY, primary_key=True),
        Column("truth", Text, nullable=False),
    )


def _teller(metadata: MetaData) -> Table:
    """Which sources ever told of the entities in a table."""
    return Table("teller", metadata, Column("told_in", KEY, primary_key=True), Column("source", KEY, primary_key=True))


def _changed(metadata: MetaData) -> Table:
    """What became of entities, in the order it was written: a row for those that follow one another in a transaction, and of which
    the same is to be said. `written_by`: the transaction, where numbers are not enough to tell what is new. Numbers are never
    given twice."""
    return Table(
        "changed",
        metadata,
        Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("entity", KEY, nullable=False),
        Column("kind", Text, nullable=False),
        Column("keys", PLAIN, nullable=False),
        Column("source", KEY, nullable=False),
        Column("at", Instant, nullable=False),
        Column("written_by", BigInteger),
        CheckConstraint("kind IN ('created', 'changed', 'deleted')", name="changed_kind"),
        Index("changed_by", "written_by", postgresql_where=WRITTEN, sqlite_where=WRITTEN),
        sqlite_autoincrement=True,
    )
