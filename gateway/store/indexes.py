"""Which indexes the tables have that lists read: one place, since each of them is written with every row.

Any short element that is not sensitive may be filtered and ordered by; an index has only what narrows a list of millions to
a page, or keeps it in the order of time:

- what an entity is asked for by: the elements of its identity, and those its key is derived from;
- names 名称 that nothing is without, by which people look for it, and what refers to other entities;
- when its facts happened (`fact_date`), and within an agency or a division by the last of these dates, which most records
  have (a case is filed, whenever the violation was): the scope of most lists, and the order they are shown in.

Every index has the key behind that, so that pages follow one another within it. An index by the last date ends with the
states 状态 that everything of the kind is in: what waits for a decision is one record in forty, and was found by looking at
forty times as many rows of the table. Columns that are often empty are indexed where they are not. Without an index are
members of code tables, yes and no, amounts, other times and long texts: a filter by one of them alone reads the table, beside
an agency, a division or a time it is checked row by row.
"""

from collections.abc import Iterator
from hashlib import sha256

from sqlalchemy import Index, Table, text

from schema.registry import OWNER, Element, Entity, Registry

LONGEST_NAME = 63
"""Characters PostgreSQL keeps of a name."""
LONGEST_INDEXED_NAME = 200
"""Characters of a name of somebody or something; longer ones are sentences."""
NAMES = "名称"
"""The representation term of elements that name somebody or something."""
STATES = "状态"
"""How the titles end of elements that say what state something is in."""


def add_indexes(table: Table, registry: Registry, entity: Entity, columns: dict[str, str]) -> None:
    """Give the table of what holds now of an entity its indexes. `columns`: element -> its column."""
    Index(f"{table.name}_owner", table.c[OWNER])
    elements = registry.filterable(entity.name)
    states = [name for name, element in elements.items() if is_state(element)]
    last = next((name for name in reversed(entity.fact_date) if name in elements), None)
    for names in indexed(entity, elements):
        parts = [table.c[columns[name]] for name in names]
        is_sparse = len(names) == 1 and elements[names[0]].need != "M" and names[0] not in entity.fact_date
        if not is_sparse:
            ends = [table.c[columns[name]] for name in states] if names[-1] == last else []
            named = "_".join([*names, *states] if ends else names)
            Index(index_name(table.name, named), *parts, table.c.key, *ends)
            continue
        told = text(f'"{parts[0].name}" IS NOT NULL')
        name = index_name(table.name, f"told_{names[0]}")
        Index(name, *parts, table.c.key, postgresql_where=told, sqlite_where=told)


def indexed(entity: Entity, elements: dict[str, Element]) -> Iterator[tuple[str, ...]]:
    """The elements of each index, in their order; `elements` are those that may be filtered by."""
    times = [name for name in entity.fact_date if name in elements]
    scopes = [name for name, element in elements.items() if is_scope(element)]
    asked = {name for way in entity.lookups for name in way}
    for name, element in elements.items():
        is_name = element.representation_term == NAMES and element.need == "M" and is_short(element)
        if name not in scopes and (name in asked or is_name or element.refers is not None):
            yield (name,)
    yield from ((time,) for time in times)
    yield from ((scope, *times[-1:]) for scope in scopes)


def is_short(element: Element) -> bool:
    """Whether it is a name as people look for one, and not a sentence."""
    return max(element.format.lengths, default=0) <= LONGEST_INDEXED_NAME


def is_state(element: Element) -> bool:
    """Whether it says what state something is in, and always does."""
    return element.codes is not None and element.need == "M" and element.title.endswith(STATES)


def is_scope(element: Element) -> bool:
    """Whether it says to which agency or division something belongs."""
    return element.codes == "division" or (element.refers is not None and element.refers[0] == "Agency")


def index_name(table: str, what: str) -> str:
    """The name of an index, cut to what PostgreSQL takes, and still its own."""
    name = f"{table}_by_{what}"
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 9] + "_" + sha256(name.encode()).hexdigest()[:8]
