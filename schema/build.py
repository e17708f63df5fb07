"""The GraphQL schema, derived from the registry and nothing else."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from schema.enums import make_enums
from schema.query import make_query
from schema.registry import Registry
from schema.scalars import SCALARS
from schema.types import make_types


def build_schema(registry: Registry) -> strawberry.Schema:
    """The schema of everything the specification defines; resolvers read from an `AnswerView` given as context."""
    enums = make_enums(registry)
    types = make_types(registry, enums)
    return strawberry.Schema(
        query=make_query(registry, types, enums),
        types=list(types.values()),
        config=StrawberryConfig(scalar_map=SCALARS),
    )


def print_schema(schema: strawberry.Schema) -> str:
    """The schema as SDL, ending in one newline: what `schema/schema.graphql` holds."""
    return schema.as_str().rstrip() + "\n"
