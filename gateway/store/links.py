"""Where relations lead, as rows: by the word of each source, and which of these words holds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, update

from adapters.mapping.record import Mapped
from gateway.store.bulk import Form, among, insert_columns, written
from gateway.store.cells import Columns, Constant
from gateway.store.tellings import Telling, embedded_keys
from gateway.store.turns import Pause
from schema.registry import Registry


def insert_links(
    connection: Connection, link: Table, registry: Registry, entity: str, source: str, told: Iterable[Mapped]
) -> None:
    """Write a row for each relation and target of these records, each once. They hold as if nobody else told of the same
    entities; where somebody does, `hold_chosen` says what holds."""
    rows = [row for one in told for row in _rows(one)]
    if rows:
        insert_columns(connection, link, _columns(registry, entity, source, rows), len(rows))


def write_links(
    link: Table, registry: Registry, dialect: str, entity: str, source: str, tellings: Sequence[Telling], pause: Pause
) -> Form:
    """Give each telling these rows, as they are inserted; returns their form."""
    rows: list[tuple[str, str, str]] = []
    ends: list[int] = []
    for telling in tellings:
        rows += _rows(telling.mapped)
        ends.append(len(rows))
    columns = _columns(registry, entity, source, rows)
    form, lines = written(link, columns, len(rows), dialect, pause)
    start = 0
    for telling, end in zip(tellings, ends, strict=True):
        telling.links, start = lines[start:end], end
    return form


def _rows(one: Mapped) -> list[tuple[str, str, str]]:
    led = {**embedded_keys(one), **one.refs} if one.embedded else one.refs
    return [
        (one.key, relation, target)
        for relation, targets in led.items()
        for target in (targets if len(targets) < 2 else dict.fromkeys(targets))
    ]


def _columns(registry: Registry, entity: str, source: str, rows: Sequence[tuple[str, str, str]]) -> Columns:
    keys, relations, targets = zip(*rows, strict=True) if rows else ((), (), ())
    holding = frozenset(told_relations(registry, entity))
    return {
        "entity": Constant(entity),
        "key": keys,
        "source": Constant(source),
        "relation": relations,
        "target": targets,
        "holds": [relation in holding for relation in relations],
    }


def hold_alone(connection: Connection, link: Table, registry: Registry, entity: str, keys: Sequence[str]) -> None:
    """What the one source that tells of these entities says holds."""
    relations = told_relations(registry, entity)
    if keys and relations:
        late = _of(connection, link, entity, keys) & link.c.relation.in_(relations) & link.c.holds.is_(False)
        connection.execute(update(link).where(late).values(holds=True))


def hold_chosen(
    connection: Connection, link: Table, registry: Registry, entity: str, chosen: Mapping[str, Mapping[str, str]]
) -> None:
    """What holds of entities that several sources tell of. `chosen`: key -> relation -> the source whose word counts."""
    alike: dict[tuple[str, str], list[str]] = {}
    for key, by_relation in chosen.items():
        for relation in told_relations(registry, entity):
            alike.setdefault((relation, by_relation.get(relation, "")), []).append(key)
    for (relation, source), keys in alike.items():
        holds = link.c.source == source
        mine = _of(connection, link, entity, keys) & (link.c.relation == relation)
        connection.execute(update(link).where(mine, link.c.holds != holds).values(holds=holds))


def told_relations(registry: Registry, entity: str) -> list[str]:
    """The relations that records of an entity tell themselves; the others are these, read backwards."""
    return [relation.name for relation in registry.entities[entity].relations.values() if relation.is_told]


def _of(connection: Connection, link: Table, entity: str, keys: Sequence[str]) -> Any:
    return (link.c.entity == entity) & among(connection, link.c.key, keys)
