"""How a store that exists comes to today's form: additions by themselves, everything else by a reviewed migration, or not at all.

The form of a store is written down in it: tables, columns and their types, keys, and by what entities are identified. It is
compared with the form that the specification asks for. All of it is one transaction: what fails leaves the store as it was.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, Table, inspect, text
from sqlalchemy.schema import CreateColumn

from gateway.store.columns import Listed
from gateway.store.database import lock
from gateway.store.tables import Tables
from schema.problems import Problem, Problems
from schema.registry import Registry

MIGRATIONS = Path(__file__).parent / "migrations"
MADE = "CREATE TABLE IF NOT EXISTS store_form (digest text NOT NULL PRIMARY KEY, place integer NOT NULL, form text NOT NULL)"
"""Every form this store ever had, in their order; the last is what it has."""
Form = Mapping[str, Any]
Renew = Callable[[Connection, Collection[str]], None]


@dataclass(frozen=True, slots=True)
class Kept:
    """The forms a store had: the last one, and the digests of all."""

    form: Form | None
    digests: Sequence[str]


def bring_up(
    connection: Connection, tables: Tables, registry: Registry, renew: Renew, migrations: Path = MIGRATIONS
) -> None:
    """Make what is missing and apply what is pending, within a write transaction.

    `renew` is called with the entities whose rows of what holds now have just got a table or a column, be they none: whose
    word counts may have changed. Raises Problems, and
    nothing is changed, for a breaking change that no migration settles, and for a store that newer code has made.
    """
    lock(connection, "create")
    form = form_of(tables, registry)
    digest = hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()
    connection.execute(text(MADE))
    kept = _kept(connection)
    scripts = ScriptDirectory(str(migrations))
    context = MigrationContext.configure(connection)
    current = context.get_current_heads()
    _refuse_newer(kept, digest, current, {script.revision for script in scripts.walk_revisions()})
    is_pending = set(current) != set(scripts.get_heads())
    before = set(inspect(connection).get_table_names())
    missing = [t.name for t in tables.metadata.sorted_tables if t.name not in before] if kept.digests else []
    if kept.digests[-1:] == [digest] and not is_pending and not missing:
        renew(connection, [])
        return
    pending = list(scripts.iterate_revisions("heads", current or None)) if is_pending else []
    settled = {name for script in pending for name in getattr(script.module, "SETTLES", ())}
    if kept.form is not None and (breaking := [c for c in breaking_changes(kept.form, form) if c.name not in settled]):
        raise Problems(breaking_problem(change) for change in breaking)
    _refuse_lost(kept, missing, tables)
    tables.metadata.create_all(connection, tables=[t for t in tables.metadata.sorted_tables if t.name not in before])
    if is_pending:
        _apply(connection, scripts)
    late = _catch_up(connection, tables.metadata, before)
    _drop_unwanted(connection, kept.form, form)
    renew(connection, [name for name, table in tables.current.items() if table.name in late])
    if kept.digests[-1:] != [digest]:
        row = {"digest": digest, "place": len(kept.digests), "form": json.dumps(form, sort_keys=True)}
        connection.execute(text("DELETE FROM store_form WHERE digest = :digest"), {"digest": digest})
        connection.execute(text("INSERT INTO store_form (digest, place, form) VALUES (:digest, :place, :form)"), row)


def form_of(tables: Tables, registry: Registry) -> Form:
    """The form the specification asks for."""
    return {
        "tables": {
            table.name: {
                "columns": {column.name: _type_name(column) for column in table.columns},
                "key": [column.name for column in table.primary_key],
                "needed": [
                    c.name for c in table.columns if not c.nullable and not c.primary_key and c.server_default is None
                ],
            }
            for table in tables.metadata.sorted_tables
        },
        "indexes": sorted(str(i.name) for table in tables.metadata.sorted_tables for i in table.indexes),
        "identities": {name: [list(way) for way in entity.identity] for name, entity in registry.entities.items()},
    }


@dataclass(frozen=True, slots=True)
class Change:
    """One breaking change: `name` is what a migration's SETTLES calls it."""

    name: str
    what: str


def breaking_changes(old: Form, new: Form) -> list[Change]:
    """What cannot apply itself: gone, renamed or re-typed columns and tables, other keys, and columns that must not be empty."""
    return [*_table_changes(old["tables"], new["tables"]), *_identity_changes(old["identities"], new["identities"])]


def breaking_problem(change: Change) -> Problem:
    """How the person who starts the gateway is told."""
    advice = f"先写并评审一个迁移（gateway/store/migrations/versions，SETTLES 含 “{change.name}”），再启动；存储未改动"
    return Problem("存储", 1, 1, change.name, change.what, advice)


def _table_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name, before in old.items():
        now = new.get(name)
        if now is None:
            yield Change(name, "表被删去或改名")
            continue
        for column, kind in before["columns"].items():
            if column not in now["columns"]:
                yield Change(f"{name}.{column}", "列被删去或改名")
            elif now["columns"][column] != kind:
                yield Change(f"{name}.{column}", f"类型由 {kind} 改为 {now['columns'][column]}")
        if before["key"] != now["key"]:
            yield Change(f"{name}.主键", f"主键由 {before['key']} 改为 {now['key']}")
        for column in now["needed"]:
            if column not in before["columns"]:
                yield Change(f"{name}.{column}", "新增的列不允许为空，已有的行没有值")


def _identity_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for entity, ways in old.items():
        if entity in new and new[entity] != ways:
            yield Change(f"{entity}.identity", f"标识由 {ways} 改为 {new[entity]}，已有的键不再相符")


def _refuse_newer(kept: Kept, digest: str, current: Sequence[str], known: Collection[str]) -> None:
    """Code that does not know what was done to the store must not touch it."""
    strange = [revision for revision in current if revision not in known]
    is_older = digest in kept.digests[:-1]
    if strange or is_older:
        what = f"存储由更新的版本升级过（迁移 {'、'.join(strange)}）" if strange else "存储的结构比本程序新"
        raise Problems([Problem("存储", 1, 1, "", what, "请用新版本启动；本程序未改动存储")])


def _refuse_lost(kept: Kept, missing: Sequence[str], tables: Tables) -> None:
    """A table that was there and is not any more must not come back empty, except what is made from others anyway."""
    made = {table.name for table in tables.current.values()}
    had = set((kept.form or {}).get("tables", ()))
    if lost := [name for name in missing if name in had and name not in made]:
        problems = (Problem("存储", 1, 1, name, "这张表不见了", "请从备份恢复，再启动；存储未改动") for name in lost)
        raise Problems(problems)


def _kept(connection: Connection) -> Kept:
    rows = connection.execute(text("SELECT digest, form FROM store_form ORDER BY place")).all()
    return Kept(json.loads(rows[-1].form) if rows else None, [row.digest for row in rows])


def _apply(connection: Connection, scripts: ScriptDirectory) -> None:
    """Run the pending migrations, in the transaction that is under way."""

    def steps(revision: Any, _context: Any) -> Any:
        return scripts._upgrade_revs("heads", revision)

    context = MigrationContext.configure(connection, opts={"fn": steps, "script": scripts})
    with Operations.context(context):
        context.run_migrations()


def _catch_up(connection: Connection, metadata: MetaData, before: Collection[str]) -> set[str]:
    """Columns and indexes that tables have gained; returns the names of the tables that are new or have new columns."""
    late = {table.name for table in metadata.sorted_tables if table.name not in before}
    return late | {table.name for table in metadata.sorted_tables if table.name in before and _gain(connection, table)}


def _drop_unwanted(connection: Connection, old: Form | None, new: Form) -> None:
    """Indexes that an older form had and this one has not; a person's own are not ours to drop."""
    quote = connection.dialect.identifier_preparer.quote
    for name in sorted(set((old or {}).get("indexes", ())) - set(new["indexes"])):
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {quote(name)}")


def _gain(connection: Connection, table: Table) -> bool:
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    missing = [column for column in table.columns if column.name not in there]
    quoted = connection.dialect.identifier_preparer.quote(table.name)
    for column in missing:
        added = CreateColumn(column).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {quoted} ADD COLUMN {added}")
    indexed = {index["name"] for index in inspect(connection).get_indexes(table.name)}
    for index in table.indexes:
        if index.name not in indexed:
            index.create(connection)
    return bool(missing)


def _type_name(column: Column[Any]) -> str:
    """What a column keeps, the same on every database."""
    kind = column.type
    if isinstance(kind, Listed):
        return f"listed {kind.kind}"
    return type(kind).__name__.lower()
