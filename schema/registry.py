"""The specification as frozen values: entities, elements, code tables and relations, read from `schema/spec/`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Literal

from schema.formats import Format

SPEC_FOLDER = Path(__file__).parent / "spec"
OWNER = "owner_agency_code"
"""数据责任机关 (ZF27011), which every record has by its provenance; the only key part its entity has no element for."""
LONGEST_INDEXED = 600
"""Characters of the longest texts that are indexed: in UTF-8 they still fit into an index of PostgreSQL."""

Need = Literal["M", "C", "O"]
Sensitivity = Literal["public", "internal", "medium", "high"]
Status = Literal["candidate", "recorded", "qualified", "standard", "superseded", "retired"]
"""Registration status of a data element (ISO/IEC 11179-6)."""


@dataclass(frozen=True, slots=True)
class Code:
    """One value of a code table; valid on dates from `valid_from` to `valid_to`, both inclusive, when given."""

    member: str
    code: str
    title: str
    valid_from: date | None = None
    valid_to: date | None = None
    successors: tuple[str, ...] = ()

    def is_valid_on(self, day: date) -> bool:
        """Whether the code counted on that day."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True)
class CodeTable:
    """A code table 值域. `type` is its GraphQL enum; tables without one are answered as their code.

    With `judged_length` its codes are numbers of which only so many digits are listed here (a township has 9), and those
    that begin with one of `foreign_prefixes` are of another register: taken as they are.
    """

    name: str
    id: str
    title: str
    type: str | None
    members: Mapping[str, Code]
    basis: str = ""
    version: str = ""
    judged_length: int | None = None
    foreign_prefixes: tuple[str, ...] = ()

    def find(self, value: str) -> Code | None:
        """The member behind a value in this table's own form, as far as the table tells it."""
        return self.by_code.get(value[: self.judged_length])

    def takes(self, value: str) -> bool:
        """Whether the value is a code of this table, valid now or once, or one of another register."""
        if self.judged_length is None:
            return value in self.by_code
        is_number = value.isascii() and value.isdigit()
        return is_number and (value.startswith(self.foreign_prefixes) or self.find(value) is not None)

    @cached_property
    def by_code(self) -> Mapping[str, Code]:
        """The members by their code in the specification."""
        return {code.code: code for code in self.members.values()}


@dataclass(frozen=True, slots=True)
class Element:
    """A data element 数据元 with its attributes (GB/T 19488.1, ISO/IEC 11179).

    `name` is snake_case; `id` is provisional (ZFxxxxx) and never an official number, which `sf_ref` is for.
    """

    name: str
    id: str
    title: str
    format: Format
    need: Need
    core: bool = False
    codes: str | None = None
    check: str | None = None
    normal: str | None = None
    refers: tuple[str, str] | None = None
    sensitivity: Sensitivity = "public"
    unit: str = ""
    condition: str = ""
    description: str = ""
    draft_name: str = ""
    basis: str = ""
    version: str = ""
    sf_ref: str = ""
    english_name: str = ""
    definition: str = ""
    object_class_term: str = ""
    property_term: str = ""
    representation_term: str = ""
    synonyms: tuple[str, ...] = ()
    status: Status = "candidate"
    effective_from: date | None = None
    effective_to: date | None = None
    submitting_agency: str = ""
    unindexed: bool = False

    @property
    def is_sensitive(self) -> bool:
        """Whether it may appear in no argument, cursor, index or log line."""
        return self.sensitivity in ("medium", "high")


@dataclass(frozen=True, slots=True)
class Relation:
    """A way from one entity to others: by keys in an own element (`by`), or the other way along `inverse`.

    With neither it is carried: a source's record says where it leads, and no element holds that.
    """

    name: str
    to: str
    title: str
    many: bool
    by: str | None = None
    inverse: str | None = None

    @property
    def is_told(self) -> bool:
        """Whether the entity's own record says where it leads; along an inverse the others' records do."""
        return self.inverse is None


@dataclass(frozen=True, slots=True)
class ConditionalCheck:
    """A named check of an element that holds for records whose other elements have one of the members in `when`."""

    element: str
    check: str
    when: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Entity:
    """An entity. `identity` lists what tells one from another: the first list of elements that is complete.

    `allotted` is an element the gateway itself gives out once; `derived` are elements computed from the first present
    of others (a party's key from its 统一社会信用代码 or, hashed, from its identity document). `fact_date` are the elements
    that say when its facts happened, the first present one counting: codes have to be valid on that day.
    """

    name: str
    title: str
    description: str
    identity: tuple[tuple[str, ...], ...]
    allotted: str | None
    derived: Mapping[str, tuple[str, ...]]
    elements: Mapping[str, Element]
    relations: Mapping[str, Relation]
    fact_date: tuple[str, ...] = ()
    conditional_checks: tuple[ConditionalCheck, ...] = ()
    draft: str = ""

    @cached_property
    def lookups(self) -> tuple[tuple[str, ...], ...]:
        """The combinations of elements by which one entity may be asked for; nothing sensitive is among them."""
        others = ((source,) for sources in self.derived.values() for source in sources)
        combinations = dict.fromkeys((*self.identity, *others))
        return tuple(c for c in combinations if all(self.is_public_key_part(name) for name in c))

    @cached_property
    def other_keys(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What keys start with that are not made of the first combination of `identity`, and the combination."""
        return tuple(("+".join(combination) + "=", combination) for combination in self.identity[1:])

    @cached_property
    def unusual_fronts(self) -> tuple[str, ...]:
        """What keys start with that are not made of the first combination of `identity`, or of nothing that identifies."""
        return "~", *(front for front, _ in self.other_keys)

    @cached_property
    def told_by_key(self) -> tuple[tuple[str, str], ...]:
        """Derived elements with the one that is not sensitive which their value may be: a party's key is its `uscc`."""
        public = ((n, [s for s in sources if self.is_public_key_part(s)]) for n, sources in self.derived.items())
        return tuple((name, sources[0]) for name, sources in public if sources)

    @cached_property
    def usual_key(self) -> frozenset[str]:
        """The elements that a key of the first combination tells: of a key without `=`, all that it may tell."""
        return frozenset(self.identity[0]).union(
            public for name, public in self.told_by_key if name in self.identity[0]
        )

    def is_public_key_part(self, name: str) -> bool:
        """Whether `name` may stand in an argument, a cursor or a log line."""
        return name == OWNER or not self.elements[name].is_sensitive


@dataclass(frozen=True)
class Registry:
    """The whole specification, checked."""

    version: str
    entities: Mapping[str, Entity]
    codes: Mapping[str, CodeTable]
    title: str = ""
    note: str = ""

    def is_allotted_reference(self, element: Element) -> bool:
        """Whether its value is what the gateway allotted to another entity, so that no record ever holds it."""
        return element.refers is not None and self.entities[element.refers[0]].allotted == element.refers[1]

    def filterable(self, entity: str) -> dict[str, Element]:
        """The elements lists may be filtered by: one plain value that is short, not sensitive, and in the record."""
        return {name: e for name, e in self.entities[entity].elements.items() if self.is_filterable(e)}

    def is_filterable(self, element: Element) -> bool:
        """Whether lists may be filtered, ordered and grouped by it."""
        form = element.format
        is_plain = not form.many and form.kind != "structure"
        is_short = form.kind != "text" or max(form.lengths, default=LONGEST_INDEXED) <= LONGEST_INDEXED
        is_known = not element.is_sensitive and not self.is_allotted_reference(element)
        return not element.unindexed and is_plain and is_short and is_known

    def target_of(self, entity: str, relation: str) -> Entity:
        """The entity a relation leads to."""
        return self.entities[self.entities[entity].relations[relation].to]
