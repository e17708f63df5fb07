"""Python for one want of one entity of one mapping: straight-line code that does what `map_record` does in the common case.

Everything that comes from a mapping, from the specification or from a want reaches the code through its namespace, under
names made here; no text of theirs is ever part of the code.
"""

from collections.abc import Callable
from datetime import date
from types import MappingProxyType
from typing import Any

from adapters.mapping.compiled_read import PlaceWriter
from adapters.mapping.compiled_values import MOST_REMEMBERED, Memo, irregular, keys_of, remembered, told_by_keys
from adapters.mapping.model import EntityMapping, Field, Reference, SourceMapping
from adapters.mapping.record import Mapped, always_tells
from adapters.mapping.wants import NOTHING, Want, Wants
from schema.identity import HashId, refer
from schema.registry import OWNER


class NotCompilable(Exception):
    """The mapping says something that compiled code does not cover."""


class MappingWriter:
    """Writes the functions of one entity and of everything embedded in it. `memos` are shared by all code of a mapping;
    `most_referred` is what they remember of where each relation leads."""

    def __init__(
        self,
        source: SourceMapping,
        wants: Wants | None,
        hash_id: HashId,
        memos: dict[Any, Any],
        most_referred: int = MOST_REMEMBERED,
    ) -> None:
        self.source, self.wants, self.hash_id, self.memos = source, wants, hash_id, memos
        self.most_referred = most_referred
        self.namespace: dict[str, Any] = {
            "Mapped": Mapped,
            "hash_id": hash_id,
            "irregular": irregular,
            "NOTHING": MappingProxyType({}),
            "NONE": [],
            "BLANK": (None, ""),
        }
        self.functions: dict[str, str] = {}
        self.lines: list[str] = []

    def write(self, entity: str) -> str:
        """The name of the function that maps records of `entity`. Raises NotCompilable."""
        if entity not in self.functions:
            self.functions[entity] = f"map_{len(self.functions)}"
            self.lines += self.entity_writer(entity).write(self.functions[entity])
        return self.functions[entity]

    def entity_writer(self, entity: str) -> "EntityWriter":
        """What writes the function of one entity."""
        return EntityWriter(self, entity, PlaceWriter(self.keep, self.memo))

    def keep(self, prefix: str, value: Any) -> str:
        """The name under which the code finds a value."""
        name = f"{prefix}_{len(self.namespace)}"
        self.namespace[name] = value
        return name

    def want(self, entity: str) -> Want | None:
        """What is wanted of an entity; None: everything, provenance as well."""
        return None if self.wants is None else self.wants.get(entity, NOTHING)

    def memo(self, what: Any, make: Any) -> Any:
        """The same reader for the same thing in all code of the mapping, so that what it remembers is kept once."""
        if what not in self.memos:
            self.memos[what] = make()
        return self.memos[what]

    def needs_day(self, entity: str, seen: frozenset[str] = frozenset()) -> bool:
        """Whether codes of this entity, or of one inside it, are judged on a day."""
        mapping, want = self.source.entities[entity], self.want(entity)
        if any(want is None or want.has_issues(mapping.entity, rule.field.name) for rule in mapping.dated):
            return True
        inside = {e.to for name, e in mapping.embedded.items() if follows(mapping, want, name)} - seen - {entity}
        return any(self.needs_day(name, seen | {entity}) for name in inside)


def follows(mapping: EntityMapping, want: Want | None, relation: str) -> bool:
    """Whether the relation has to be read from records."""
    return want is None or want.follows(mapping.entity.relations[relation])


class EntityWriter:
    """Writes one function. `values` are the variables that hold values, by name; None stands in them for absent."""

    def __init__(self, code: MappingWriter, entity: str, place: PlaceWriter) -> None:
        self.code, self.name, self.place = code, entity, place
        self.mapping = code.source.entities[entity]
        self.want = code.want(entity)
        self.values: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.needed = self._needed()

    def write(self, function: str) -> list[str]:
        """The function's lines."""
        mapping, line = self.mapping, self.place.line
        followed = [name for name in mapping.embedded if follows(mapping, self.want, name)]
        day = self.read_values()
        if followed:
            line("embedded = {}")
        refs = [self._as_ref(name, keys) for name, keys in self.keys.items()]
        refs += [self._embed(name, day) for name in followed]
        self._make_values()
        has_refs = self.want is None or bool(self.want.relations)
        if has_refs:
            line(", ".join(ref for ref in refs if ref), of="refs = {{{}}}")
        if self.want is None:
            rest = [self._provenance(), "refs", "embedded" if followed else "{}", "[]"]
        else:  # one empty thing serves all, since nothing is ever added to what is not wanted
            rest = ["NOTHING", "refs" if has_refs else "NOTHING", "embedded" if followed else "NOTHING", "NONE"]
        owner, entity = self.code.keep("owner", self.code.source.agency), self.code.keep("entity", self.name)
        line(f"return Mapped({entity}, key, {owner}, values, {', '.join(rest)}, False)")
        return [f"def {function}(record, told_on):", *self.place.lines]

    def read_values(self) -> str:
        """Read and check everything that stands in the record itself, and make its key; returns the variable with the day
        on which what is inside it is judged."""
        mapping, line = self.mapping, self.place.line
        dated = [rule for rule in mapping.dated if self._tells_issues(rule.field.name)]
        needs_day = bool(dated) or self._children_need_day()
        for name, f in mapping.fields.items():
            if name in self.needed or (needs_day and name in mapping.fact_date):
                self.values[name] = self.read(f)
        if not always_tells(mapping):
            self._leave_out_nothing()
        self._check_conditions()
        if needs_day:
            self._find_day()
        for rule in dated:
            value, doubt = self.values[rule.field.name], self.code.keep("doubt", rule.doubt)
            if rule.field.element.format.many:
                line(f"if {value} is not None and any({doubt}(code, day) for code in {value}): irregular()")
            else:
                listed = self.code.keep("dated", rule.codes)
                front = value if rule.length is None else f"{value}[:{rule.length}]"
                line(f"if {value} is not None and {front} in {listed} and {doubt}({value}, day): irregular()")
        for name, reference in mapping.references.items():
            if self._is_read(name):
                self.keys[name] = self._refer(name, reference)
        self._derive()
        self._make_key()
        return "day" if needs_day else "told_on"

    def read(self, f: Field) -> str:
        """The variable with the value of a field."""
        return self.place.read(f)

    def _leave_out_nothing(self) -> None:
        """Of a record without any value there is no entity inside another; what was not read must be blank as well then."""
        fields = [f for f in self.mapping.fields.values() if f.path is not None]
        read = [f"{self.values[f.name]} is None" for f in fields if f.name in self.values]
        with self.place.indented(f"if {' and '.join(read) or 'True'}:"):
            for f in fields:
                if f.name not in self.values:
                    self.place.line(f"if {self.place.thing(f)} not in BLANK: irregular()")
            self.place.line("return None")

    def _tells(self, name: str) -> bool:
        return self.want is None or self.want.has_element(name)

    def _tells_issues(self, name: str) -> bool:
        return self.want is None or self.want.has_issues(self.mapping.entity, name)

    def _children_need_day(self) -> bool:
        followed = (e.to for name, e in self.mapping.embedded.items() if follows(self.mapping, self.want, name))
        return any(self.code.needs_day(entity, frozenset({self.name})) for entity in followed)

    def _by(self, relation: str) -> str | None:
        return self.mapping.entity.relations[relation].by

    def _is_read(self, reference: str) -> bool:
        return follows(self.mapping, self.want, reference) or self._by(reference) in self.needed

    def _needed(self) -> set[str]:
        """The names of the values that have to be read: for themselves, for the key, or to derive or check others."""
        entity, fields = self.mapping.entity, self.mapping.fields
        told = {*fields, *entity.derived, *filter(None, map(self._by, self.mapping.references))}
        needed = {name for name in told if self._tells(name)}
        needed |= {name for combination in entity.identity for name in combination}
        for sources in (entity.derived[name] for name in entity.derived if name in needed):
            if not entity.derived.keys().isdisjoint(sources):
                raise NotCompilable("derived from what is derived")
            needed.update(sources)
        waiting = list(needed)
        while waiting:
            name = waiting.pop()
            for rule in entity.conditional_checks:
                new = set(rule.when) - needed if rule.element == name else set()
                needed |= new
                waiting += new
        return needed

    def _check_conditions(self) -> None:
        whens = {rule.element: rule.when for rule in self.mapping.entity.conditional_checks}
        for rule in self.mapping.conditional:
            value = self.values.get(rule.field.name)
            if value is not None:
                check = self.code.keep("check", rule.check)
                given = ", ".join(f"{self.code.keep('name', n)}: {self.values[n]}" for n in whens[rule.field.name])
                self.place.line(f"if {value} is not None: {value} = {check}({value}, {{{given}}})")

    def _find_day(self) -> None:
        """The day of the facts; else the day on which the record was last written; else the day it was told."""
        line, mapping = self.place.line, self.mapping
        line("day = None")
        for name in mapping.fact_date:
            line(f"if day is None: day = {self._as_day(mapping.fields[name].element.format.kind, self.values[name])}")
        if (updated := mapping.provenance.get("source_updated_at")) is not None:
            with self.place.indented("if day is None:"):
                moment = self.place.read(updated)
                line(f"day = {self._as_day(updated.element.format.kind, moment)}")
        line("if day is None: day = told_on")
        line("if day is None: irregular()")

    def _as_day(self, kind: str, value: str) -> str:
        if kind not in ("date", "datetime"):
            raise NotCompilable(f"a day that is a {kind}")
        return value if kind == "date" else f"None if {value} is None else {value}.date()"

    def _refer(self, name: str, reference: Reference) -> str:
        """Read where a reference leads; returns the variable with the keys."""
        f, owner = reference.field, self.code.source.agency
        if f.path is None:
            key = refer(reference.to, f.element.name, f.convert(f.constant or ""), owner, self.code.hash_id)
            keys = self.code.keep("constant", () if key is None else (key,))
        else:
            read = keys_of(reference, owner, self.code.hash_id)
            keys = self.place.keys(
                f, self.code.memo(("keys", self.name, name), lambda: remembered(f, read, self.code.most_referred))
            )
        self._fill(name, keys)
        return keys

    def _fill(self, relation: str, keys: str) -> None:
        """The element behind a relation, where a key is that element's value."""
        spec, to = self.mapping.entity.relations[relation], self.code.source.entities
        if spec.by is None or not (self._tells(spec.by) or spec.by in self.needed):
            return
        if relation in self.mapping.references:
            target = self.mapping.references[relation].to
        else:
            target = to[self.mapping.embedded[relation].to].entity
        told = self.code.memo(
            ("told", self.name, relation), lambda: Memo(told_by_keys(spec, target), self.code.most_referred)
        )
        value = self.place.line(f"{self.code.keep('told', told)}[{keys}]", of=self.place.new() + " = {}")
        if spec.by in self.values:
            self.place.line(f"if {value} is None: {value} = {self.values[spec.by]}")
        self.values[spec.by] = value

    def _as_ref(self, relation: str, keys: str) -> str | None:
        if self.want is not None and relation not in self.want.relations:
            return None
        return f"{self.code.keep('relation', relation)}: {keys}"

    def _derive(self) -> None:
        entity, line = self.mapping.entity, self.place.line
        for name, sources in entity.derived.items():
            if name not in self.needed:
                continue
            value = self.place.new()
            line(f"{value} = {self.values.get(name)}")
            for source in sources:
                if source in self.values:
                    made = self.values[source]
                    made = made if entity.is_public_key_part(source) else f"hash_id(str({made}))"
                    line(f"if {value} is None and {self.values[source]} is not None: {value} = {made}")
            self.values[name] = value

    def _make_key(self) -> None:
        entity = self.mapping.entity
        word = "if"
        for index, combination in enumerate(entity.identity):
            if not all(name == OWNER or name in self.values for name in combination):
                continue
            parts = [
                self.code.keep("owner", self.code.source.agency) if n == OWNER else self.values[n] for n in combination
            ]
            front = f"{{{self.code.keep('front', '+'.join(combination) + '=')}}}" if index else ""
            known = " and ".join(f"{part} is not None" for part in parts)
            text = "/".join(f"{{{part}}}" for part in parts)
            self.place.line(f'{word} {known}: key = f"{front}{text}"')
            word = "elif"
        self.place.line("irregular()", of="{}" if word == "if" else "else: {}")

    def _embed(self, name: str, day: str) -> str | None:
        """Map what is embedded; returns what `refs` has to say of it."""
        embedded, line = self.mapping.embedded[name], self.place.line
        child, back = self.code.write(embedded.to), self.mapping.entity.relations[name].inverse
        nodes, children = self.place.nodes(embedded.path), self.place.new()
        mapped = f"{child}(node, {day})"
        line(f"{children} = [c for node in {nodes} if isinstance(node, dict) and (c := {mapped}) is not None]")
        line(f"if len({children}) > 1: {children} = list({{child.key: child for child in {children}}}.values())")
        inner = self.code.want(embedded.to)
        if back is not None and (inner is None or back in inner.relations):
            line(f"for child in {children}: child.refs[{self.code.keep('relation', back)}] = (key,)")
        if self.want is None or name in self.want.relations:
            line(f"embedded[{self.code.keep('relation', name)}] = tuple({children})")
        if back is not None:
            return None
        keys = line(f"tuple([child.key for child in {children}])", of=self.place.new() + " = {}")
        self._fill(name, keys)
        return self._as_ref(name, keys)

    def _make_values(self) -> None:
        self.place.line("values = {}")
        for name, value in self.values.items():
            if self._tells(name):
                self.place.line(f"if {value} is not None: values[{self.code.keep('name', name)}] = {value}")

    def _provenance(self) -> str:
        self.place.line("provenance = {}")
        for name, f in self.mapping.provenance.items():
            value = self.place.read(f)
            self.place.line(f"if {value} is not None: provenance[{self.code.keep('name', name)}] = {value}")
        return "provenance"


def compile_code(
    source: SourceMapping,
    entity: str,
    wants: Wants | None,
    hash_id: HashId,
    memos: dict[Any, Any],
    most_referred: int,
) -> tuple[Callable[[Any, date | None], Mapped], str]:
    """The function for records of `entity`, and its text. It raises Irregular, or what Python raises for odd things, where
    a record has to be read with care. Raises NotCompilable."""
    writer = MappingWriter(source, wants, hash_id, memos, most_referred)
    try:
        function = writer.write(entity)
    except ValueError as error:  # a constant of the mapping that is no value
        raise NotCompilable(str(error)) from None
    text = "\n".join(writer.lines)
    namespace = dict(writer.namespace)
    exec(compile(text, f"<mapping of {entity}>", "exec"), namespace)
    return namespace[function], text
