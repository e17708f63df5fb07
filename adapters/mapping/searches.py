"""Reads the `search` of an operation and what a source `holds`, checked against the specification and the request."""

from collections.abc import Iterator, Mapping
from typing import Any

from adapters.mapping.convert import converter
from adapters.mapping.filters import ORDERED, operators_for, writer
from adapters.mapping.model import PROVENANCE_FIELDS, EntityMapping, Field, Filter, SearchRole, Tombstone
from adapters.mapping.placeholders import FILTER
from adapters.mapping.record import BadValue
from adapters.mapping.written import EntityForm, FieldForm, Filtered, MappingForm, Operation, Request
from schema.problems import Path as ProblemPath
from schema.registry import Entity, Registry
from schema.written import Document

PAGED = ("$page", "$offset", "$cursor")


class SearchReader:
    """Reads searches of one mapping; mistakes go to its document."""

    def __init__(self, document: Document, form: MappingForm, registry: Registry) -> None:
        self.document, self.form, self.registry = document, form, registry
        self.is_sql = form.connect.kind == "sql"

    def read(
        self, path: ProblemPath, written: Operation, mapping: EntityMapping, deleted: Tombstone | None
    ) -> SearchRole:
        """What the operation can be asked."""
        role = written.search
        assert role is not None
        if written.page is None:
            self.document.problem(path, "search 需要同级的 page（每次取多少条）")
        if written.latest is not None and not self.is_sql:
            self.document.problem((*path[:-1], "latest"), "按页取数时 latest 只用于数据库的 search")
        filters = {
            name: made
            for name, filtered in role.filters.items()
            if (made := self._filter((*path, "filters", name), written, mapping, name, filtered)) is not None
        }
        known = {*role.filters, *mapping.holds}
        for index, name in enumerate(role.requires):
            if name not in known:
                self.document.unknown((*path, "requires", index), name, "requires 应是能筛选的数据元，没有", known)
        order = self._order(path, written, mapping)
        if not self.is_sql:
            self._check_request(path, written)
        return SearchRole(role.entity, filters, tuple(role.requires), order, role.pages, deleted)

    def holds(
        self, path: ProblemPath, written: EntityForm, entity: Entity, fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The only values that this source has in some elements: those it says, and those its mapping fixes."""
        found: dict[str, tuple[Any, ...]] = {}
        for field in fields.values():
            if isinstance(field, Field) and field.constant is not None and field.element.name in entity.elements:
                try:
                    found[field.element.name] = (field.convert(field.constant),)
                except BadValue:
                    continue
        if written.holds == "all":
            return found
        for name, values in written.holds.items():
            here = (*path, "holds", name)
            element = entity.elements.get(name)
            if element is None or not self.registry.is_filterable(element) or element.format.kind != "text":
                known = [n for n, e in entity.elements.items() if self.registry.is_filterable(e)]
                self.document.unknown(here, name, "holds 应是能筛选的文本或代码数据元，没有", known)
                continue
            table = self.registry.codes.get(element.codes or "")
            for value in values:
                if table and table.type and value not in table.members:
                    self.document.unknown(here, value, f"代码表 {table.name} 没有成员", table.members)
                elif table and not table.type and not table.takes(value):
                    self.document.problem(here, f"“{value}” 不在代码表“{table.title}”中")
            found[name] = tuple(values)
        return found

    def _filter(
        self, path: ProblemPath, written: Operation, mapping: EntityMapping, name: str, filtered: Filtered
    ) -> Filter | None:
        found = self._field(mapping, name)
        if found is None and name in mapping.entity.elements and self._is_misspelt(mapping):
            return None  # what was meant is told where it is misspelt
        if found is None:
            self.document.unknown(path, name, "filters 应是映射了的、能筛选的数据元，没有", self._filterable(mapping))
            return None
        field, form = found
        if field.path is None:
            self.document.problem(path, f"{name} 在本来源是固定值，不必筛选（要求带上它就写 requires）")
            return None
        if field.path.many or field.split or field.element.normal:
            self.document.problem(path, f"{name} 的写法不能由值反推，不能筛选")
            return None
        if self.is_sql and len(field.path.steps) != 1:
            self.document.problem(path, f"{name} 不是一个列，数据库来源不能按它筛选")
            return None
        if filtered.format is not None and form.as_ not in ("date", "datetime"):
            self.document.problem((*path, "format"), "format 只与 as: date / datetime 的数据元同用")
        stamp = filtered.format or form.format
        known = operators_for(field.element, form.codes is not None)
        for index, operator in enumerate(filtered.operators):
            at = (*path, index) if (*path, index) in self.document.marks else path
            if operator not in known:
                self.document.unknown(at, operator, f"{name} 不能用", known)
            elif operator in ("gte", "lte") and self.is_sql and stamp and not ORDERED.fullmatch(stamp):
                self.document.problem(at, f"{name} 按 {stamp} 写成的文本不能比较先后")
        codes = self.form.codes.get(form.codes) if form.codes else None
        separator = None if self.is_sql else _separator(written.request, f"${name}.")
        read = converter(form.model_copy(update={"format": filtered.format})) if filtered.format else None
        return Filter(name, tuple(filtered.operators), field, writer(form, codes, filtered.format), separator, read)

    def _field(self, mapping: EntityMapping, name: str) -> tuple[Field, FieldForm] | None:
        """The field an element is read from, which may be what a reference names the other entity by."""
        if name not in mapping.entity.elements or not self.registry.is_filterable(mapping.entity.elements[name]):
            return None
        forms = self.form.entities[mapping.entity.name].fields
        if name in mapping.fields:
            return mapping.fields[name], forms[name]
        for relation, reference in mapping.references.items():
            told = mapping.entity.relations[relation].by == name and not mapping.entity.relations[relation].many
            if told and reference.to.identity[0] == (reference.field.element.name,):
                return reference.field, forms[relation]
        return None

    def _is_misspelt(self, mapping: EntityMapping) -> bool:
        """Whether some field of the entity is none of the specification."""
        known = {*mapping.entity.elements, *mapping.entity.relations, *PROVENANCE_FIELDS}
        return any(word not in known for word in self.form.entities[mapping.entity.name].fields)

    def _filterable(self, mapping: EntityMapping) -> list[str]:
        return [name for name in mapping.entity.elements if self._field(mapping, name) is not None]

    def _order(self, path: ProblemPath, written: Operation, mapping: EntityMapping) -> dict[tuple[str, bool], str]:
        role = written.search
        assert role is not None
        found: dict[tuple[str, bool], str] = {}
        for name, words in role.order.items():
            here = (*path, "order", name)
            made = self._field(mapping, name)
            if made is None or made[0].path is None:
                self.document.unknown(here, name, "order 应是映射了的、能排序的数据元，没有", self._filterable(mapping))
                continue
            field, form = made
            if field.element.format.kind == "text" or form.codes:
                self.document.problem(here, f"{name} 是文本或代码，各系统次序不同，不能由来源排序")
            if not self.is_sql:
                if words.asc is None and words.desc is None:
                    self.document.problem(here, "写 asc 或 desc：来源怎样说这个次序")
                found |= {(name, bool(way)): text for way, text in enumerate((words.asc, words.desc)) if text}
                continue
            if words.asc is not None or words.desc is not None:
                self.document.problem(here, "数据库按列排序，不写 asc、desc")
            if written.latest is not None:
                self.document.problem(here, "一条记录有多行（latest）时不能由来源排序")
            column = field.path.steps[0][0] if field.path and field.path.steps else ""
            found |= {(name, False): column, (name, True): f"-{column}"}
        return found

    def _check_request(self, path: ProblemPath, written: Operation) -> None:
        role = written.search
        assert role is not None
        used = set(_placeholders(written.request))
        at: ProblemPath = (*path[:-1], "request")
        declared = {f"${name}.{operator}" for name, f in role.filters.items() for operator in f.operators}
        for missing in sorted(declared - used):
            self.document.problem(at, f"请求里没有筛选 {missing}")
        for unknown in sorted(word for word in used - declared if FILTER.fullmatch(word)):
            self.document.unknown(at, unknown, "search.filters 没有声明", declared)
        if len(used & {*PAGED}) != 1:
            self.document.problem(at, "search 的请求应写 $page、$offset、$cursor 之一")
        if written.page and ("$cursor" in used) != (written.page.next is not None):
            self.document.problem(at, "$cursor 与 page.next 应同写")
        if ("$order" in used) != bool(role.order):
            self.document.problem(at, "$order 与 search.order 应同写")


def _placeholders(request: Request) -> Iterator[str]:
    for tree in (request.query, request.json_body, request.form, request.message):
        yield from _texts(tree)


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str) and tree.startswith("$"):
        yield tree
    for inner in tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, list) else ():
        yield from _texts(inner)


def _separator(request: Request, front: str) -> str | None:
    """What the texts of a filter are joined with, if they are."""
    waiting: list[Any] = [request.query, request.json_body, request.form, request.message]
    while waiting:
        tree = waiting.pop()
        if isinstance(tree, Mapping):
            if set(tree) == {"join", "with"} and str(tree["join"]).startswith(front):
                return str(tree["with"])
            waiting += tree.values()
        elif isinstance(tree, list):
            waiting += tree
    return None
