"""Writes the functions of a short way: each turns a record of one part into the object that stands in the answer.

They read and check records exactly as compiled mappings do, and print values as projections do, with nothing in between. Where
that is not all there is to do they raise (`ODD`), and the executor answers.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from graphql import GraphQLEnumType, GraphQLList, GraphQLNonNull, GraphQLOutputType, get_named_type

from adapters.json_types import Place
from adapters.mapping.compiled_code import EntityWriter, MappingWriter, NotCompilable, follows
from adapters.mapping.compiled_read import PlaceWriter
from adapters.mapping.compiled_typed import TypedPlaceWriter
from adapters.mapping.compiled_values import Memo
from adapters.mapping.model import Field
from gateway.engine.lane.course import Ask, Stop
from gateway.engine.projection.shape import FieldShape
from gateway.engine.projection.writing import LARGEST_INT, TEXTS
from schema.formats import print_datetime, print_money
from schema.identity import global_id, values_in_key
from schema.names import GLOBAL_ID

Seen = Mapping[int, tuple[dict[str, Any], dict[str, Any]]]
"""What was made so far: part -> key -> object, and key -> the record it was made of."""
Make = Callable[[Any, date | None, Seen, list[Any]], Any]
"""From a record, the day it was told, what was made so far and what is waited for, to the object."""


class Odd(ValueError):
    """A value that the schema does not expect; the executor says what is wrong with it."""


def write_lane(ask: Ask, wants: Any, hash_id: Any, memos: dict[Any, Any], place: Place | None) -> tuple[Make, bool]:
    """The function for the records of a look-up, decoded into Structs at `place` or as trees, and whether it judges by the day
    it was told. Raises NotCompilable, NotTyped or Unlike."""
    writer = _LaneWriter(ask, wants, hash_id, memos, place)
    name = writer.part(ask.stop, place)
    exec(compile("\n".join(writer.lines), f"<lane of {ask.operation}>", "exec"), writer.namespace)
    return writer.namespace[name], writer.needs_day(ask.role.entity)


def printer(kind: Any) -> Callable[[Any], Any]:
    """What prints values of a leaf type, None as None. Raises for what is no value of it."""
    if isinstance(kind, GraphQLEnumType):
        names = {name: name for name in kind.values}
        return lambda value: None if value is None else names[value]
    match kind.name:
        case name if name in TEXTS:
            return lambda value: value if value is None or value.__class__ is str else _odd()
        case "Date":
            return lambda value: None if value is None else value.isoformat()
        case "DateTime":
            return lambda value: None if value is None else print_datetime(value)
        case "Money":
            return lambda value: None if value is None else print_money(value)
        case "Int":
            return lambda value: (
                value if value is None or (value.__class__ is int and -LARGEST_INT <= value < LARGEST_INT) else _odd()
            )
        case "Long":
            return lambda value: value if value is None or value.__class__ is int else _odd()
        case "Boolean":
            return lambda value: value if value is None or value.__class__ is bool else _odd()
    raise NotCompilable(kind.name)


def _odd() -> Any:
    raise Odd


class _LaneWriter(MappingWriter):
    def __init__(self, ask: Ask, wants: Any, hash_id: Any, memos: dict[Any, Any], place: Place | None) -> None:
        super().__init__(ask.mapping, wants, hash_id, memos)
        self.is_typed = place is not None

    def part(self, stop: Stop, place: Place | None) -> str:
        """The name of the function of a part."""
        at = TypedPlaceWriter(self.keep, self.memo, place) if place is not None else PlaceWriter(self.keep, self.memo)
        name = f"part_{stop.part.number}"
        self.lines += _PartWriter(self, stop, at).write(name)
        return name


class _PartWriter(EntityWriter):
    """Writes the function of one part. `printed` are the elements whose variables hold what stands in the answer."""

    def __init__(self, code: _LaneWriter, stop: Stop, place: PlaceWriter) -> None:
        super().__init__(code, stop.part.entity.name, place)
        self.lane, self.stop = code, stop
        self.printed: set[str] = set()
        self.leaves = {field.read: field for field in stop.shape.fields if field.below is None}
        self.inner = self._inner()

    def write(self, function: str) -> list[str]:
        """The function's lines."""
        line, entity, number = self.place.line, self.name, self.stop.part.number
        for name in self.mapping.embedded:
            if follows(self.mapping, self.want, name) and name not in self.stop.inside:
                raise NotCompilable(name)
        day = self.read_values()
        if isinstance(self.place, TypedPlaceWriter):
            self.place.check_texts()
        line(f"mine, records = seen[{number}]")
        with self.place.indented("if key in mine:"):
            line("if records[key] != record: irregular()")
            line("return mine[key]")
        values: list[str] = []
        waits: list[tuple[int, str, str]] = []
        for field in self.stop.shape.fields:
            if field.is_typename:
                values.append(repr(self.stop.shape.kind))
            elif field.read == GLOBAL_ID:
                values.append(f"{self.code.keep('global_id', global_id)}({entity!r}, key)")
            elif (inside := self.stop.inside.get(field.read)) is not None:
                values.append(self._inside(field, inside, day))
            elif (named := self.stop.named.get(field.read)) is not None:
                keys = self.keys[field.read]
                if self.mapping.entity.relations[field.read].many:
                    listed = line("[]", of=self.place.new() + " = {}")
                    line(f"if {keys}: waiting.append(({named.part.number}, {listed}, {keys}, None))")
                    values.append(listed)
                else:
                    waits.append((named.part.number, keys, field.slot))
                    values.append("None")
            else:
                values.append(self._leaf(field))
        line(f"made = {self.code.keep('Struct', self.stop.shape.struct)}({', '.join(values)})")
        for of, keys, slot in waits:
            line(f"if {keys}: waiting.append(({of}, made, {keys}, {slot!r}))")
        line("mine[key], records[key] = made, record")
        line("return made")
        return [f"def {function}(record, told_on, seen, waiting):", *self.place.lines]

    def read(self, f: Field) -> str:
        """The variable with the value of a field, as it stands in the answer where it is for nothing else."""
        field = self.leaves.get(f.name)
        if field is not None and f.name not in self.inner and not isinstance(_nullable(field.type), GraphQLList):
            kind = get_named_type(field.type)
            found = self.place.read_as(f, kind.name, printer(kind))
            if found is not None:
                self.printed.add(f.name)
                return found
        return super().read(f)

    def _inner(self) -> set[str]:
        """The elements whose values are needed themselves: for the key, for checks, for what is derived or filled."""
        entity, mapping = self.mapping.entity, self.mapping
        names = {name for combination in entity.identity for name in combination}
        names |= {name for sources in entity.derived.values() for name in sources} | set(entity.derived)
        names |= {name for rule in entity.conditional_checks for name in (rule.element, *rule.when)}
        names |= {rule.field.name for rule in mapping.dated} | set(mapping.fact_date)
        return names | {relation.by for relation in entity.relations.values() if relation.by}

    def _inside(self, field: FieldShape, stop: Stop, day: str) -> str:
        """The variable with what is made of what stands inside the record."""
        line, relation = self.place.line, self.mapping.entity.relations[field.read]
        embedded = self.mapping.embedded[field.read]
        if relation.by is not None and relation.inverse is None and self._tells(relation.by):
            raise NotCompilable(relation.by)
        place = self.place.inside(embedded.path) if isinstance(self.place, TypedPlaceWriter) else None
        child, nodes = self.lane.part(stop, place), self.place.nodes(embedded.path)
        made = self.place.new()
        each = f"{child}(node, {day}, seen, waiting)"
        line(f"{made} = [c for node in {nodes} if node is not None and (c := {each}) is not None]")
        line(f"if len({made}) > 1 and len(set(map(id, {made}))) < len({made}): irregular()")
        if relation.many:
            return made
        line(f"if len({made}) > 1: irregular()")
        return f"({made}[0] if {made} else None)"

    def _leaf(self, field: FieldShape) -> str:
        """An expression for what stands in the answer for an element."""
        line, name, kind = self.place.line, field.read, _nullable(field.type)
        write = printer(get_named_type(kind))
        value = self.values.get(name)
        if value is None:
            value = line("None", of=self.place.new() + " = {}")
        if self._is_in_key(name):
            told = self.code.keep("values_in_key", values_in_key)
            entity = self.code.keep("of", self.mapping.entity)
            line(f"if {value} is None: {value} = {told}({entity}, key).get({self.code.keep('name', name)})")
        if name not in self.printed:
            value = self._print(name, kind, write, value)
        if isinstance(field.type, GraphQLNonNull):
            line(f"if {value} is None: irregular()")
        return value

    def _print(self, name: str, kind: GraphQLOutputType, write: Callable[[Any], Any], value: str) -> str:
        element = self.mapping.entity.elements[name]
        if element.format.kind == "text" and get_named_type(kind).name in TEXTS and not isinstance(kind, GraphQLList):
            return value
        made = self.place.new()
        if isinstance(kind, GraphQLList):
            if isinstance(_nullable(kind.of_type), GraphQLList):
                raise NotCompilable(name)
            each = self.code.keep("print", write)
            self.place.line(f"{made} = None if {value} is None else [{each}(x) for x in {value}]")
        elif element.is_sensitive or get_named_type(kind).name in TEXTS:
            self.place.line(f"{made} = {self.code.keep('print', write)}({value})")
        else:
            printed = self.code.memo(("print", get_named_type(kind).name), lambda: Memo(write))
            self.place.line(f"{made} = {self.code.keep('print', printed)}[{value}]")
        return made

    def _is_in_key(self, name: str) -> bool:
        entity = self.mapping.entity
        return any(name in combination for combination in entity.identity) or any(
            name == public for _, public in entity.told_by_key
        )


def _nullable(kind: GraphQLOutputType) -> GraphQLOutputType:
    return kind.of_type if isinstance(kind, GraphQLNonNull) else kind
