"""Writes the Python function that turns what was found into the Structs of an answer: no decisions left but the data's own.

Only names that were checked when schema and document were read, and numbers of our own, get into the text; every other
value is passed in through the namespace. The function raises for whatever is out of the ordinary, and `careful` answers then.
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLOutputType,
    get_named_type,
)

from gateway.engine.index import provenance_of
from gateway.engine.projection.shape import FieldShape, ObjectShape
from schema.formats import print_datetime, print_money
from schema.identity import global_id
from schema.names import GLOBAL_ID, PROVENANCE

Project = Callable[[Callable[[str], Any]], Any]
"""From what answers the roots by their names in the answer, to the Struct of the whole answer."""
LARGEST_INT = 2**31
TEXTS = frozenset(("String", "ID", "Uscc", "IdNo", "DivisionCode", "Cursor"))
PRINTED: Mapping[str, str] = {"Date": "{}.isoformat()", "DateTime": "print_datetime({})", "Money": "print_money({})"}


class OutOfTheOrdinary(Exception):
    """Something failed or is not of the type the schema says: to be answered carefully."""


def write_projection(root: ObjectShape) -> Generator[None, None, Project]:
    """The function of one operation, compiled object by object: after each there is time for something else."""
    writer = _Writer()
    name = writer.root(root)
    for lines in (*writer.texts, writer.choices):
        exec(compile("\n".join(lines), "<projection>", "exec"), writer.known)
        yield
    return writer.known[name]  # type: ignore[no-any-return]


class _Writer:
    def __init__(self) -> None:
        self.texts: list[list[str]] = []
        """Functions, none of which needs another until it is called."""
        self.choices: list[str] = []
        self.named: dict[object, str] = {}
        self.known: dict[str, Any] = {
            "Odd": OutOfTheOrdinary,
            "LISTS": (list, tuple),
            "print_datetime": print_datetime,
            "print_money": print_money,
            "provenance_of": provenance_of,
            "global_id": global_id,
        }

    def root(self, shape: ObjectShape) -> str:
        body = [f"    {field.slot} = root({field.name!r})" for field in shape.fields if not field.is_typename]
        return self._function(shape, "root", body)

    def _object(self, shape: ObjectShape) -> str:
        """The function of one kind of object; its name."""
        if shape.entity is None:
            return self._function(
                shape, "row", [f"    {f.slot} = row[{f.read!r}]" for f in shape.fields if not f.is_typename]
            )
        body = ["    if row.failures: raise Odd", "    get = row.values.get"]
        if any(field.read in shape.entity.relations for field in shape.fields):
            body += ["    index = row.index", "    if index.related_failures: raise Odd", "    found = index.rows"]
        for field in shape.fields:
            body += self._read(shape, field)
        return self._function(shape, "row", body)

    def _read(self, shape: ObjectShape, field: FieldShape) -> list[str]:
        entity = shape.entity
        assert entity is not None
        if field.is_typename:
            return []
        if field.read == GLOBAL_ID:
            return [f"    {field.slot} = global_id({entity.name!r}, row.key)"]
        if field.read == PROVENANCE:
            return [f"    {field.slot} = provenance_of(row)"]
        if (relation := entity.relations.get(field.read)) is None:
            return [f"    {field.slot} = get({field.read!r})"]
        leads = f"get({relation.name!r})" if relation.is_told else f"index.targets(row, {relation.name!r})"
        row = f"found.get(({relation.to!r}, {{0}})) or index.row({relation.to!r}, {{0}})".format
        given = f"None if keys is None else [{row('k')} for k in keys]"
        if not relation.many:
            given = f"{row('keys[0]')} if keys else None"
        return [f"    keys = {leads}", f"    {field.slot} = {given}"]

    def _function(self, shape: ObjectShape, argument: str, body: list[str]) -> str:
        values = []
        for field in shape.fields:
            if field.is_typename:
                values.append(repr(shape.kind))
                continue
            body += self._complete(field, field.type, field.slot, 1)
            values.append(field.slot)
        struct = self._keep("Struct", shape.struct, shape.struct)
        body += [f"    return {struct}({', '.join(values)})"]
        written = (argument, *body)
        if written not in self.named:  # objects that are alike have one function
            self.named[written] = self._keep("make", None)
            self.texts.append([f"def {self.named[written]}({argument}):", *body])
        return self.named[written]

    def _complete(self, field: FieldShape, kind: GraphQLOutputType, value: str, depth: int) -> list[str]:
        """Lines that turn the variable `value` into what stands in the answer."""
        pad = "    " * depth
        if isinstance(kind, GraphQLNonNull):
            return [f"{pad}if {value} is None: raise Odd", *self._filled(field, kind.of_type, value, depth)]
        inner = self._filled(field, kind, value, depth + 1)
        return [f"{pad}if {value} is not None:", *inner] if inner else []

    def _filled(self, field: FieldShape, kind: GraphQLOutputType, value: str, depth: int) -> list[str]:
        pad = "    " * depth
        if isinstance(kind, GraphQLList):
            if (plain := self._item(field, kind.of_type)) is not None:
                return [f"{pad}{value} = [{plain} for x in {value}]"]
            item = f"x{depth}"
            lines = [f"{pad}if {value}.__class__ not in LISTS: raise Odd"]
            lines += [f"{pad}items, {value}_ = {value}, []", f"{pad}for {item} in items:"]
            lines += self._complete(field, kind.of_type, item, depth + 1)
            return [*lines, f"{pad}    {value}_.append({item})", f"{pad}{value} = {value}_"]
        if field.below is not None:
            return self._made(field, value, pad)
        return self._leaf(get_named_type(kind), value, pad)

    def _item(self, field: FieldShape, kind: GraphQLOutputType) -> str | None:
        """Objects of one kind that are never null are made in one expression: what is no such object raises by itself."""
        if field.below is None or len(field.below) != 1 or not isinstance(kind, GraphQLNonNull):
            return None
        return None if isinstance(kind.of_type, GraphQLList) else f"{self._object(*field.below.values())}(x)"

    def _made(self, field: FieldShape, value: str, pad: str) -> list[str]:
        assert field.below is not None
        if len(field.below) == 1:
            return [f"{pad}{value} = {self._object(*field.below.values())}({value})"]
        made = {name: self._object(shape) for name, shape in field.below.items()}
        choice = self._keep("choice", None)
        self.choices.append(f"{choice} = {{{', '.join(f'{name!r}: {function}' for name, function in made.items())}}}")
        return [f"{pad}{value} = {choice}[{value}.entity.name]({value})"]

    def _leaf(self, kind: Any, value: str, pad: str) -> list[str]:
        if isinstance(kind, GraphQLEnumType):
            members = self._keep("members", {name: name for name in kind.values}, kind.name)
            return [f"{pad}{value} = {members}[{value}]"]
        if kind.name in TEXTS:
            return [f"{pad}if {value}.__class__ is not str: raise Odd"]
        if kind.name in PRINTED:
            return [f"{pad}{value} = {PRINTED[kind.name].format(value)}"]
        match kind.name:
            case "Int":
                bounds = f"not {-LARGEST_INT} <= {value} < {LARGEST_INT}"
                return [f"{pad}if {value}.__class__ is not int or {bounds}: raise Odd"]
            case "Long":
                return [f"{pad}if {value}.__class__ is not int: raise Odd"]
            case "Boolean":
                return [f"{pad}if {value}.__class__ is not bool: raise Odd"]
            case "JSON":
                return []
        return [f"{pad}raise Odd"]

    def _keep(self, name: str, value: Any, of: object = None) -> str:
        """The name of a value in the code; one for all that is kept `of` the same."""
        if of is not None and of in self.named:
            return self.named[of]
        unique = f"{name}_{len(self.known)}"
        self.known[unique] = value
        if of is not None:
            self.named[of] = unique
        return unique
