"""Which records answer: by key, or by a cursor in its order, page by page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.mapping.model import ChangesRole, Field, Filter, LookupRole, OperationMapping, SearchRole, SourceMapping
from adapters.mapping.record import key_texts
from adapters.simulator.binding import Asked, Rejected
from adapters.simulator.samples import Dataset

View = Callable[[Any], Any]
"""A sample as the tree that paths are read from."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Samples in the order they are sent; `total` counts all pages, `following` is what the next one is asked for by."""

    records: Sequence[Any]
    total: int
    size: int = 0
    following: str | None = None


@dataclass(frozen=True, slots=True)
class _Moved:
    """A sample in the order of its cursor; `at` is empty when the cursor cannot be read."""

    at: tuple[Any, ...]
    key: tuple[str, ...]
    record: Any


class Answering:
    """Answers from one dataset. Its indexes are made when first needed and again when the dataset has changed."""

    def __init__(self, mapping: SourceMapping, dataset: Dataset, view: View) -> None:
        self.mapping, self.dataset, self.view = mapping, dataset, view
        self._indexes: dict[str, tuple[int, dict[str, list[int]]]] = {}
        self._orders: dict[str, tuple[int, list[_Moved]]] = {}

    def answer(self, asked: Asked) -> Answer:
        """The records asked for; a key that is unknown is absent. Raises Rejected for a cursor that is none."""
        operation = asked.operation
        if operation.lookup:
            return self._lookup(operation, operation.lookup, asked)
        if operation.search:
            return self._search(operation, operation.search, asked)
        assert operation.changes is not None
        return self._changes(operation, operation.changes, asked)

    def _search(self, operation: OperationMapping, role: SearchRole, asked: Asked) -> Answer:
        """Records that pass every filter, in the order of their key, or in the order asked for."""
        tests = [_test(role.filters[name.rpartition(".")[0]], name, texts) for name, texts in asked.filters.items()]
        key_fields = [
            self.mapping.entities[role.entity].fields[name] for name in self.mapping.entities[role.entity].key
        ]
        trees = [(self.view(record), record) for record in self.dataset.records(role.entity)]
        meant = [(tree, record) for tree, record in trees if all(test(tree) for test in tests)]
        meant.sort(key=lambda found: [key_texts(found[0], field) for field in key_fields])
        for (name, is_backwards), text in role.order.items():
            if text == asked.order:
                by = self._ordering(role, name)
                present = sorted((m for m in meant if by(m[0])), key=lambda m: by(m[0]), reverse=is_backwards)
                meant = present + [m for m in meant if not by(m[0])]
        paging = operation.written.page
        size = asked.size or (paging.size if paging else len(meant)) or 1
        start = asked.offset or 0
        if asked.page is not None and paging is not None:
            start = (asked.page - paging.first) * size
        following = str(start + size) if start + size < len(meant) else None
        return Answer([record for _, record in meant[start : start + size]], len(meant), size, following)

    def _ordering(self, role: SearchRole, name: str) -> Callable[[Any], tuple[Any, ...]]:
        field = self.mapping.entities[role.entity].fields[name]
        return lambda tree: tuple(_values(field, tree)[:1])

    def _lookup(self, operation: OperationMapping, role: LookupRole, asked: Asked) -> Answer:
        version, index = self._indexes.get(operation.name, (-1, {}))
        if version != self.dataset.version:
            index = self._index(role)
            self._indexes[operation.name] = (self.dataset.version, index)
        records = self.dataset.records(role.entity)
        found = sorted({position for key in asked.keys for position in index.get(key, ())})
        return Answer([records[position] for position in found], len(found), size=len(found))

    def _changes(self, operation: OperationMapping, role: ChangesRole, asked: Asked) -> Answer:
        version, moved = self._orders.get(operation.name, (-1, []))
        if version != self.dataset.version:
            moved = self._in_order(role)
            self._orders[operation.name] = (self.dataset.version, moved)
        since, until = (_moment(role, text) for text in (asked.since, asked.until))
        meant = [m for m in moved if since is None or (m.at and m.at >= since)]
        meant = [m for m in meant if until is None or (m.at and m.at <= until)]
        paging = operation.written.page
        size = asked.size or (paging.size if paging else len(meant)) or 1
        page = 0 if asked.page is None or paging is None else asked.page - paging.first
        chosen = meant[page * size : (page + 1) * size]
        return Answer([m.record for m in chosen], len(meant), size)

    def _index(self, role: LookupRole) -> dict[str, list[int]]:
        index: dict[str, list[int]] = {}
        for position, record in enumerate(self.dataset.records(role.entity)):
            for text in dict.fromkeys(self._keys(role, self.view(record))):
                index.setdefault(text, []).append(position)
        return index

    def _keys(self, role: LookupRole, tree: Any) -> list[str]:
        embedded = self.mapping.entities[role.entity].embedded.get(role.relation or "")
        nodes = embedded.path.find(tree) if embedded else [tree]
        return [text for node in nodes if isinstance(node, dict) for text in key_texts(node, role.field)]

    def _in_order(self, role: ChangesRole) -> list[_Moved]:
        entity = self.mapping.entities[role.entity]
        key_fields = [entity.fields[name] for name in entity.key]
        moved = []
        for record in self.dataset.records(role.entity):
            tree = self.view(record)
            at = next((_convert(role, text) for text in key_texts(tree, role.cursor)), ())
            key = next((texts for field in key_fields if (texts := tuple(key_texts(tree, field)))), ())
            moved.append(_Moved(at, key, record))
        return sorted(moved, key=lambda m: (m.at, m.key))


def _values(field: Field, tree: Any) -> list[Any]:
    found = []
    for text in key_texts(tree, field):
        try:
            found.append(field.convert(text))
        except ValueError:
            continue
    return found


def _test(asked: Filter, name: str, texts: Sequence[str]) -> Callable[[Any], bool]:
    """What a filter means to the source itself: its own codes as they are, moments and amounts by what they say."""
    operator, field = name.rpartition(".")[2], asked.field
    match operator:
        case "prefix":
            return lambda tree: any(text.startswith(texts[0]) for text in key_texts(tree, field))
        case "contains":
            return lambda tree: any(texts[0] in text for text in key_texts(tree, field))
        case "gte" | "lte":
            bound = _bound(asked, texts[0])
            return lambda tree: any(v >= bound if operator == "gte" else v <= bound for v in _values(field, tree))
    wanted = set(texts)
    values = [value for text in texts for value in _converted(field, text)]
    is_text = field.element.format.kind in ("text", "boolean")
    return lambda tree: (
        not wanted.isdisjoint(key_texts(tree, field))
        or (not is_text and any(v in values for v in _values(field, tree)))
    )


def _converted(field: Field, text: str) -> list[Any]:
    try:
        return [field.convert(text)]
    except ValueError:
        return []


def _bound(asked: Filter, text: str) -> Any:
    read = asked.read or asked.field.convert
    try:
        return read(text)
    except ValueError as error:
        raise Rejected(f"{asked.element} “{text}”：{error}") from None


def _moment(role: ChangesRole, text: str | None) -> tuple[Any, ...] | None:
    if text is None:
        return None
    try:
        return (role.cursor.convert(text),)
    except ValueError as error:
        raise Rejected(f"游标 “{text}”：{error}") from None


def _convert(role: ChangesRole, text: str) -> tuple[Any, ...]:
    try:
        return (role.cursor.convert(text),)
    except ValueError:
        return ()
