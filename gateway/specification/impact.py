"""Which mappings and recorded queries a change of the specification touches, and which queries it makes invalid."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    parse,
    validate,
    visit,
)

from adapters.mapping.uses import Use, uses_in
from schema.build import build_schema as build_unified_schema
from schema.build import print_schema
from schema.dictionary.diff import Change, in_order
from schema.names import camel
from schema.registry import Registry


@dataclass(frozen=True, slots=True, order=True)
class Asked:
    """A field in a recorded query; `error` says why it is invalid in the new schema, if it is."""

    file: str
    line: int
    column: int
    field: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Impact:
    """A change with the places in mappings and queries that it touches."""

    change: Change
    mappings: Sequence[Use] = ()
    queries: Sequence[Asked] = ()


@dataclass(slots=True)
class Document:
    """A recorded query: the fields it asks for, by type and name, and the errors it has in the new schema only."""

    fields: dict[tuple[str, str], list[Asked]] = field(default_factory=dict)
    errors: list[Asked] = field(default_factory=list)


def impacts(
    changes: Iterable[Change], old: Registry, new: Registry, mappings: Path, documents: Sequence[Path]
) -> tuple[list[Impact], list[Asked]]:
    """Each change with what it touches; then the errors of queries that no change accounts for by itself."""
    uses = uses_in(mappings, old)
    before, after = (build_schema(print_schema(build_unified_schema(registry))) for registry in (old, new))
    read = [_read(file, before, after) for file in _files(documents)]
    found = [
        Impact(change, _touched_mappings(change, uses, old), _touched_queries(change, read, old))
        if change.kind == "breaking"
        else Impact(change)
        for change in _with_types(changes, old, new, before, after)
    ]
    told = {(asked.file, asked.line, asked.column) for impact in found for asked in impact.queries}
    rest = [e for document in read for e in document.errors if (e.file, e.line, e.column) not in told]
    return found, sorted(rest)


def _files(documents: Sequence[Path]) -> list[Path]:
    return sorted(
        {file for folder in documents for file in ([folder] if folder.is_file() else folder.rglob("*.graphql"))}
    )


def _touched_mappings(change: Change, uses: Sequence[Use], old: Registry) -> list[Use]:
    """Uses of what changed. A need that was raised touches the mappings that do not have the element."""
    if change.word == "sensitivity":
        return []
    if change.word == "need":
        having = {use.file for use in uses if (use.owner, use.name) in _providers(change, old)}
        return [use for use in uses if use.owner == change.owner and not use.name and use.file not in having]
    if change.thing == "table":
        tables = {
            (e.name, x.name) for e in old.entities.values() for x in e.elements.values() if x.codes == change.owner
        }
        return [use for use in uses if (use.owner, use.name) in tables]
    return [use for use in uses if (use.owner, use.name) == (change.owner, change.name)]


def _providers(change: Change, old: Registry) -> set[tuple[str, str]]:
    """The fields by which a mapping gives an element: itself, or a relation that is followed by it."""
    relations = old.entities[change.owner].relations.values()
    return {(change.owner, change.name), *((change.owner, r.name) for r in relations if r.by == change.name)}


def _touched_queries(change: Change, documents: Sequence[Document], old: Registry) -> list[Asked]:
    if change.word == "need":
        return []
    wanted: set[tuple[str, str]] = set()
    if change.thing in ("element", "relation"):
        wanted = {(change.owner, camel(change.name))}
    elif change.thing in ("table", "code"):
        wanted = {
            (entity.name, camel(element.name))
            for entity in old.entities.values()
            for element in entity.elements.values()
            if element.codes == change.owner
        }
    found = [asked for d in documents for coordinate in wanted for asked in d.fields.get(coordinate, ())]
    if change.thing == "entity":
        found = [
            asked for d in documents for (owner, _), all_ in d.fields.items() if owner == change.owner for asked in all_
        ]
    return sorted(set(found))


class _Fields(Visitor):
    """Collects the fields of a document with the types they are asked of."""

    def __init__(self, file: str, types: TypeInfo, errors: Mapping[tuple[int, int], str], document: Document) -> None:
        super().__init__()
        self.file, self.types, self.errors, self.document = file, types, errors, document

    def enter_field(self, node: FieldNode, *_: object) -> None:
        """Note one field."""
        parent = self.types.get_parent_type()
        if parent is None or node.loc is None:
            return
        place = node.loc.start_token.line, node.loc.start_token.column
        asked = Asked(self.file, *place, f"{parent.name}.{node.name.value}", self.errors.get(place, ""))
        self.document.fields.setdefault((parent.name, node.name.value), []).append(asked)


def _read(file: Path, before: GraphQLSchema, after: GraphQLSchema) -> Document:
    document = Document()
    try:
        tree = parse(file.read_text("utf-8"))
    except (GraphQLError, UnicodeDecodeError, OSError) as error:
        document.errors.append(Asked(str(file), 1, 1, "", f"无法读取：{error}"))
        return document
    known = {error.message for error in validate(before, tree)}
    errors = {_place(error): error.message for error in validate(after, tree) if error.message not in known}
    types = TypeInfo(before)
    visit(tree, TypeInfoVisitor(types, _Fields(str(file), types, errors, document)))
    document.errors = [Asked(str(file), *place, "", message) for place, message in errors.items()]
    return document


def _place(error: GraphQLError) -> tuple[int, int]:
    return (error.locations[0].line, error.locations[0].column) if error.locations else (1, 1)


def _with_types(
    changes: Iterable[Change], old: Registry, new: Registry, before: GraphQLSchema, after: GraphQLSchema
) -> list[Change]:
    """Also the fields whose GraphQL type changes though nothing else about them breaks, as from `N..9` to `N..12`."""
    found = list(changes)
    breaking = {(c.owner, c.name) for c in found if c.kind == "breaking"}
    for name in old.entities.keys() & new.entities.keys():
        for element in old.entities[name].elements.keys() & new.entities[name].elements.keys():
            first, then = (_field_type(schema, name, element) for schema in (before, after))
            if first != then and (name, element) not in breaking:
                what = f"GraphQL 类型：{first} → {then}"
                found.append(Change("breaking", "element", name, element, what, "type"))
    return in_order(found)


def _field_type(schema: GraphQLSchema, entity: str, element: str) -> str:
    made = schema.get_type(entity)
    assert isinstance(made, GraphQLObjectType)
    return str(made.fields[camel(element)].type)
