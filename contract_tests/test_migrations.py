"""A store that exists comes to today's form by additions and reviewed migrations, whole or not at all; older code refuses it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

from adapters.mapping.record import Mapped
from contract_tests.stores import PARTY, REGISTRY, case, database, opened, page, party, postgres, store, url
from gateway.store.evolution import MIGRATIONS, bring_up
from gateway.store.store import Store
from schema.formats import parse_format
from schema.problems import Problems
from schema.registry import Registry

__all__ = ["database", "postgres", "store", "url"]
WHOLE = REGISTRY.entities["Party"]
HEAD = ScriptDirectory(str(MIGRATIONS)).get_current_head()
MIGRATION = '''"""{what}."""

from alembic import op

revision = "9999"
down_revision = {head!r}
SETTLES = ({settles!r},)


def upgrade() -> None:
    """{what}."""
    {upgrade}
'''


def with_party(**words: object) -> Registry:
    """The specification, with another Party."""
    return replace(REGISTRY, entities={**REGISTRY.entities, "Party": replace(WHOLE, **words)})  # type: ignore[arg-type]


def without(*names: str) -> Registry:
    return with_party(elements={name: e for name, e in WHOLE.elements.items() if name not in names})


def retyped(name: str, form: str) -> Registry:
    return with_party(elements={**WHOLE.elements, name: replace(WHOLE.elements[name], format=parse_format(form))})


def renamed(old: str, new: str) -> Registry:
    elements = {new if n == old else n: replace(e, name=new) if n == old else e for n, e in WHOLE.elements.items()}
    return with_party(elements=elements)


def migrations(folder: Path, what: str, settles: str, upgrade: str) -> Path:
    """The migrations there are, and one more."""
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "r9999.py").write_text(
        MIGRATION.format(what=what, head=HEAD, settles=settles, upgrade=upgrade), "utf-8"
    )
    return folder


def bring(store: Store, folder: Path) -> None:
    store.database.write(lambda c: bring_up(c, store.tables, store.registry, lambda *_: None, folder))


def phones(store: Store) -> list[object]:
    return [stored.mapped.values.get("phone") for stored in store.by_keys("Party", [PARTY])]


def test_additions_apply_themselves_and_lists_know_them(url):
    older = Store(url, without("phone"))
    older.create()
    older.land(page(party(PARTY)))
    older.close()
    with opened(url) as store:
        assert phones(store) == [None]
        store.land(page(party("p2", phone="1"), received=101))
        current = store.tables.current["Party"]
        query = select(current.c.phone).order_by(current.c.key)
        assert store.database.read(lambda c: c.execute(query).scalars().all()) == [None, "1"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda: without("phone"), "party.phone: 列被删去或改名"),
        (lambda: renamed("phone", "telephone"), "party.phone: 列被删去或改名"),
        (lambda: retyped("phone", "D10"), "party.phone: 类型由 text 改为 date"),
        (lambda: with_party(identity=(("phone",),)), "Party.identity: 标识由 "),
        (
            lambda: replace(REGISTRY, entities={n: e for n, e in REGISTRY.entities.items() if n != "Clue"}),
            "clue: 表被删去或改名",
        ),
    ],
)
def test_a_breaking_change_is_refused_with_its_name_and_changes_nothing(store, changed: Callable[[], Registry], said):
    store.land(page(party(PARTY, phone="1")))
    newer = Store(str(store.database.engine.url.render_as_string(hide_password=False)), changed())
    try:
        with pytest.raises(Problems) as refused:
            newer.create()
    finally:
        newer.close()
    told = str(refused.value)
    assert said in told
    assert "迁移" in told
    assert "存储未改动" in told
    store.create()
    assert phones(store) == ["1"]


def test_a_reviewed_migration_settles_a_breaking_change_once(store, url, tmp_path):
    store.land(page(party(PARTY, phone="1")))
    rename = "[op.alter_column(t, 'phone', new_column_name='telephone') for t in ('party', 'current_party')]"
    folder = migrations(tmp_path / "m", "改名", "party.phone", rename)
    file = folder / "versions" / "r9999.py"
    file.write_text(file.read_text("utf-8").replace("'party.phone',", "'party.phone', 'current_party.phone',"), "utf-8")
    newer = Store(url, renamed("phone", "telephone"))
    try:
        bring(newer, folder)
        bring(newer, folder)
        assert [s.mapped.values["telephone"] for s in newer.by_keys("Party", [PARTY])] == ["1"]
    finally:
        newer.close()
    with pytest.raises(Problems, match="更新的版本升级过（迁移 9999）"):
        store.create()


def test_a_migration_that_fails_half_way_leaves_the_store_as_it_was(store, url, tmp_path):
    store.land(page(party(PARTY, phone="1")))
    halfway = (
        "op.drop_column('current_party', 'phone'); op.execute('DELETE FROM party'); op.execute('SELECT nothing_such')"
    )
    folder = migrations(tmp_path / "m", "删去", "party.phone", halfway)
    newer = Store(url, REGISTRY)
    try:
        with pytest.raises(Exception, match="nothing_such"):
            bring(newer, folder)
    finally:
        newer.close()
    store.create()
    assert phones(store) == ["1"]
    columns = {column["name"] for column in inspect(store.database.engine).get_columns("current_party")}
    assert "phone" in columns
    assert store.land(page(party(PARTY, phone="2"), received=101)).fetched == 1


def test_code_older_than_the_store_refuses_to_serve(url):
    older = Store(url, without("phone"))
    older.create()
    with opened(url) as store:
        store.land(page(party(PARTY, phone="1")))
        with pytest.raises(Problems, match="存储的结构比本程序新"):
            older.create()
        assert phones(store) == ["1"]
    older.close()


def test_a_store_made_before_forms_were_kept_is_taken_over(store):
    store.land(page(party(PARTY, phone="1")))
    forget = (
        "DROP TABLE store_form",
        "DROP TABLE alembic_version",
        "DELETE FROM arrival",
        "ALTER TABLE party DROP COLUMN birth_date",
    )
    store.database.write(lambda c: [c.execute(text(statement)) for statement in forget])
    store.create()
    arrival = store.tables.arrival
    assert phones(store) == ["1"]
    assert store.database.read(lambda c: c.execute(select(arrival.c.source, arrival.c.operation)).all()) == [
        ("market", "cases")
    ]


TWO_TABLES = (
    "CREATE TABLE old_link (entity text, key text, source text, relation text, target text,"
    " PRIMARY KEY (entity, key, source, relation, target))",
    "INSERT INTO old_link SELECT entity, key, source, relation, target FROM link",
    "CREATE TABLE current_link (entity text, key text, relation text, target text,"
    " PRIMARY KEY (entity, key, relation, target))",
    "INSERT INTO current_link SELECT DISTINCT entity, key, relation, target FROM link WHERE holds",
    "DROP TABLE link",
    "ALTER TABLE old_link RENAME TO link",
    "UPDATE alembic_version SET version_num = '0001'",
)
"""What tells where relations lead, as it was kept before migration 0002."""


def test_a_store_that_kept_links_twice_keeps_them_once(store):
    store.land(page(of_parties("1", "p1", "p2")))
    store.land(page(of_parties("1", "p2", "p3"), source="other"))
    store.land(page(of_parties("2", "p2"), source="other"))
    related = store.related("EnforcementCase", "parties", ["p1", "p2", "p3"], 9)
    link = store.tables.link
    links = select(link).order_by(*link.c)
    before = store.database.read(lambda c: c.execute(links).all())
    go_back(store, TWO_TABLES, _links_twice)
    store.create()
    assert store.database.read(lambda c: c.execute(links).all()) == before
    assert store.related("EnforcementCase", "parties", ["p1", "p2", "p3"], 9) == related
    assert "current_link" not in inspect(store.database.engine).get_table_names()


def test_a_store_that_kept_links_by_entity_keeps_them_by_what_tells_them_apart(store):
    def by_entity(form):
        form["tables"]["link"]["key"] = ["entity", "relation", "target", "key", "source"]

    store.land(page(of_parties("1", "p1", "p2")))
    store.land(page(of_parties("1", "p2"), source="other"))
    link = store.tables.link
    links = select(link).order_by(*link.c)
    before = store.database.read(lambda c: c.execute(links).all())
    go_back(store, BY_ENTITY, by_entity)
    store.create()
    assert store.database.read(lambda c: c.execute(links).all()) == before
    assert len(before) > 2
    now = inspect(store.database.engine)
    assert now.get_pk_constraint("link")["constrained_columns"] == [column.name for column in link.primary_key]
    indexes = {index["name"]: index["column_names"] for index in now.get_indexes("link")}
    assert indexes["link_of"] == ["key", "entity", "relation"]


BY_ENTITY = (
    "CREATE TABLE old_link (entity text, key text, source text, relation text, target text, holds boolean NOT NULL,"
    " PRIMARY KEY (entity, relation, target, key, source))",
    "INSERT INTO old_link SELECT entity, key, source, relation, target, holds FROM link",
    "DROP TABLE link",
    "ALTER TABLE old_link RENAME TO link",
    "CREATE INDEX link_of ON link (entity, key, relation)",
    "UPDATE alembic_version SET version_num = '0004'",
)
"""Links as they were kept before migration 0005."""


def of_parties(number: str, *parties: str) -> Mapped:
    told = case(number)
    told.refs["parties"] = parties
    return told


def test_a_store_with_a_row_for_each_change_tells_on_with_one_for_those_that_are_alike(store):
    def row_by_row(form):
        form["tables"]["change"] = form["tables"].pop("changed")

    statements = (
        "DROP TABLE changed",
        "CREATE TABLE change (sequence bigint PRIMARY KEY, entity text, key text, kind text)",
        "INSERT INTO change VALUES (7, 'Party', 'p1', 'created')",
        "UPDATE alembic_version SET version_num = '0003'",
    )
    go_back(store, statements, row_by_row)
    store.create()
    assert "change" not in inspect(store.database.engine).get_table_names()
    position = store.end_of_changes()
    store.land(page(case("1")))
    assert [change.kind for change in store.changes(position, 9).changes] == ["created"]


def go_back(store, statements, undo):
    """Make the store what it was before a migration, its form included."""
    store.database.write(lambda c: [c.execute(text(statement)) for statement in statements])
    store.database.write(lambda connection: with_form_of_before(connection, undo))


def with_form_of_before(connection, undo):
    """Write down another form than the store has now: what `undo` makes of that."""
    form = json.loads(connection.execute(text("SELECT form FROM store_form")).scalar_one())
    undo(form)
    given = {"form": json.dumps(form)}
    connection.execute(text("UPDATE store_form SET digest = 'before', form = :form"), given)


def _links_twice(form):
    link = form["tables"]["link"]
    link["key"] = ["entity", "key", "source", "relation", "target"]
    del link["columns"]["holds"]
    form["tables"]["current_link"] = {"columns": {}, "key": [], "needed": []}
