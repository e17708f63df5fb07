"""Random operations over a schema: every root, aliases, fragments, @skip and @include, repeated fields."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
)

from schema.identity import global_id
from schema.names import ENTITIES_FIELD, NODE_FIELD, NODES_FIELD, camel, groups_field, list_field, root_field
from schema.registry import Registry

LITERALS: Mapping[str, str] = {
    "Uscc": '"91350100M000100Y43"',
    "IdNo": '"11010519491231002X"',
    "DivisionCode": '"350102"',
    "Date": '"2024-01-01"',
    "DateTime": '"2024-01-01T00:00:00+08:00"',
    "Money": '"200.00"',
    "Int": "5",
    "Long": "5",
    "Boolean": "true",
}


@dataclass
class Operation:
    """The text of an operation and its variables."""

    text: str
    variables: dict[str, Any]


@dataclass
class Operations:
    """Makes operations; `keys` are those of the entities of the world they will be asked of."""

    rng: random.Random
    schema: GraphQLSchema
    registry: Registry
    keys: Mapping[str, list[str]]
    fragments: list[str] = field(default_factory=list)
    flags: dict[str, bool] = field(default_factory=dict)

    def one(self) -> Operation:
        """The next operation."""
        self.fragments, self.flags = [], {f"flag{n}": self.rng.random() < 0.5 for n in range(2)}
        roots = " ".join(self._root(number) for number in range(self.rng.randint(1, 4)))
        typename = "__typename " if self.rng.random() < 0.1 else ""
        text = f"query ($flag0: Boolean!, $flag1: Boolean!) {{ {typename}{roots} _: __typename @skip(if: $flag0) "
        text += "also: __typename @include(if: $flag1) }\n" + "\n".join(self.fragments)
        return Operation(text, dict(self.flags))

    def _root(self, number: int) -> str:
        entity = self.rng.choice(list(self.registry.entities.values()))
        query = self.schema.query_type
        assert query is not None
        match self.rng.randrange(6):
            case 0 | 1:
                combination = self.rng.choice(list(entity.lookups))
                name = root_field(entity)
                arguments = ", ".join(
                    f"{camel(a)}: {self._literal(query.fields[name].args[camel(a)].type)}" for a in combination
                )
            case 2 | 3:
                name = list_field(entity)
                arguments = f"first: {self.rng.randint(1, 200)}"
            case 4:
                name = groups_field(entity)
                arguments = f"first: {self.rng.randint(1, 99)}"
            case _:
                name = self.rng.choice((NODE_FIELD, NODES_FIELD, ENTITIES_FIELD))
                arguments = self._references(name)
        kind = get_named_type(query.fields[name].type)
        return f"r{number}: {name}({arguments}) {{ {self._selections(kind, 3)} }}{self._sometimes_again(number)}"

    def _sometimes_again(self, number: int) -> str:
        if self.rng.random() < 0.9:
            return ""
        return f" again{number}: {NODE_FIELD}({self._references(NODE_FIELD)}) {{ id }} "

    def _references(self, name: str) -> str:
        chosen = [self._reference() for _ in range(1 if name == NODE_FIELD else self.rng.randint(0, 4))]
        ids = [f'"{global_id(entity, key)}"' for entity, key in chosen]
        if name == NODE_FIELD:
            return f"id: {ids[0]}"
        if name == NODES_FIELD:
            return f"ids: [{', '.join(ids)}]"
        told = [f'{{__typename: "{entity}", id: {i}}}' for (entity, _), i in zip(chosen, ids, strict=True)]
        return f"representations: [{', '.join(told)}]"

    def _reference(self) -> tuple[str, str]:
        entity = self.rng.choice(list(self.keys))
        return entity, self.rng.choice(self.keys[entity])

    def _literal(self, kind: Any) -> str:
        named = get_named_type(kind)
        if isinstance(named, GraphQLEnumType):
            return next(iter(named.values))
        return LITERALS.get(named.name, '"x1"')

    def _selections(self, kind: Any, depth: int) -> str:
        """Some fields of the type, wrapped and repeated at random."""
        if is_abstract_type(kind):
            parts = ["__typename"] + (["id"] if "id" in getattr(kind, "fields", {}) else [])
            possible = [t for t in self.schema.get_possible_types(kind) if t.name in self.registry.entities]
            for concrete in self.rng.sample(possible, self.rng.randint(1, 3)):
                parts.append(f"... on {concrete.name} {{ {self._selections(concrete, depth - 1)} }}")
            return " ".join(parts)
        names = [name for name, f in kind.fields.items() if depth > 0 or is_leaf_type(get_named_type(f.type))]
        chosen = self.rng.choices(names, k=self.rng.randint(1, 5)) if names else []
        parts = [self._field(kind, name, depth) for name in chosen] or ["__typename"]
        return " ".join(part if self.rng.random() < 0.8 else self._wrapped(kind, part) for part in parts)

    def _field(self, kind: GraphQLObjectType, name: str, depth: int) -> str:
        below = get_named_type(kind.fields[name].type)
        inner = "" if is_leaf_type(below) else f" {{ {self._selections(below, depth - 1)} }}"
        alias = f"{name}{self.rng.randrange(2)}: " if self.rng.random() < 0.2 else ""
        return f"{alias}{name}{self._decided()}{inner}"

    def _wrapped(self, kind: GraphQLObjectType, part: str) -> str:
        if self.rng.random() < 0.5:
            return f"... on {kind.name}{self._decided()} {{ {part} __typename }}"
        name = f"F{len(self.fragments)}"
        self.fragments.append(f"fragment {name} on {kind.name} {{ {part} }}")
        return f"...{name}{self._decided()} ...{name}"

    def _decided(self) -> str:
        if self.rng.random() < 0.85:
            return ""
        condition = self.rng.choice(("true", "false", "$flag0", "$flag1"))
        return f" @{self.rng.choice(('skip', 'include'))}(if: {condition})"
