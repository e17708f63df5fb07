"""The GraphQL schema, derived from the registry and nothing else."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

import strawberry
import strawberry.federation
from graphql import GraphQLError
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from schema.delivery import make_mutation, make_receipt, receipt_field
from schema.enums import make_enums
from schema.query import make_page_info, make_query
from schema.registry import Registry
from schema.returning import make_return_roots
from schema.scalars import SCALARS
from schema.subscription import make_run, make_subscription
from schema.types import make_types

DESCRIBED = r'(?:^ *"""[^"]*"""\n)?'
FOR_COMPOSITION = (
    (r"^schema @link\(.*\) \{\n  query: Query\n  mutation: Mutation\n  subscription: Subscription\n\}\n\n", ""),
    (r"^(type \w+(?: implements \w+)?)(?: @(?:key|shareable)(?:\([^)]*\))?)+ \{$", r"\1 {"),
    (DESCRIBED + r"^  _entities\([^)]*\): .*\n\n?", ""),
    (DESCRIBED + r"^  _service: .*\n\n?", ""),
    (DESCRIBED + r"^scalar _Any\n\n?", ""),
    (DESCRIBED + r"^union _Entity = .*\n\n?", ""),
    (DESCRIBED + r"^type _Service \{[^}]*\}\n\n?", ""),
)
"""What Apollo Federation adds to a printed schema, as patterns, and what is kept of it."""
FEDERATION: Final = "2.0"
"""The oldest version that has the directives we use (@key, @shareable): a graph needs a router as new as its newest part."""


class QuietSchema(strawberry.federation.Schema):
    """Strawberry's schema, which would otherwise print every error of every answer; whoever executes logs."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Errors are part of the answer and are handled with it."""


class Validated(SchemaExtension):
    """Takes the document that the context brings along, parsed and validated already; does both where there is none.

    Strawberry's own caches belong to the process, and would keep every schema alive that was ever built.
    """

    def on_parse(self) -> Iterator[None]:
        """Nothing is parsed twice."""
        self.execution_context.graphql_document = getattr(self.execution_context.context, "document", None)
        yield

    def on_validate(self) -> Iterator[None]:
        """Nothing is validated twice."""
        if getattr(self.execution_context.context, "document", None) is not None:
            self.execution_context.pre_execution_errors = []
        yield


def build_schema(registry: Registry) -> strawberry.Schema:
    """The schema of everything the specification defines; resolvers read from an `AnswerView` given as context."""
    enums = make_enums(registry)
    types = make_types(registry, enums)

    @cache
    def subgraph() -> str:
        return print_subgraph(schema)

    receipt, run, page_info = make_receipt(), make_run(), make_page_info()
    others = [receipt_field(receipt), *make_return_roots(page_info, run)]
    schema = QuietSchema(
        query=make_query(registry, types, enums, subgraph, page_info, others),
        mutation=make_mutation(receipt),
        subscription=make_subscription(run),
        types=list(types.values()),
        config=StrawberryConfig(scalar_map=SCALARS, enable_experimental_incremental_execution=True),
        federation_version=FEDERATION,
        extensions=[Validated],
    )
    return schema


def print_schema(schema: strawberry.Schema) -> str:
    """The schema as SDL for clients, ending in one newline: what `schema/schema.graphql` holds.

    What only the composition of graphs needs is left out: its directives, entries and types.
    """
    sdl = print_subgraph(schema)
    for pattern, kept in FOR_COMPOSITION:
        sdl = re.sub(pattern, kept, sdl, flags=re.MULTILINE)
    return sdl.rstrip() + "\n"


def print_subgraph(schema: strawberry.Schema) -> str:
    """The schema as SDL for those who compose graphs, with what Apollo Federation v2 wants to know: `_service { sdl }`."""
    return schema.as_str().rstrip() + "\n"
