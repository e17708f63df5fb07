"""What the resolvers expect of the values they are given: the gateway's index answers these, the schema only asks."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from graphql import DocumentNode


class EntityView(Protocol):
    """One entity of an answer. Methods raise a GraphQLError where a source failed; nothing here waits."""

    @property
    def type_name(self) -> str:
        """The name of its entity."""
        ...

    @property
    def id(self) -> str:
        """Its opaque global identifier."""
        ...

    def answer(self, element: str) -> Any:
        """The element's value (a code table's member name for coded ones), or None."""
        ...

    def one(self, relation: str) -> "EntityView | None":
        """Where a relation to one leads."""
        ...

    def several(self, relation: str, path: Sequence[str | int]) -> "Sequence[EntityView] | None":
        """Where a relation to several leads. `path` is where the list stands in the answer, for errors beside it."""
        ...

    def provenance(self) -> Sequence[Mapping[str, Any]]:
        """Its origins 溯源."""
        ...


class AnswerView(Protocol):
    """The answers to the roots of one operation: the context value of its execution."""

    @property
    def document(self) -> DocumentNode:
        """The operation's document, parsed and validated."""
        ...

    async def submit(self, source: str, operation: str, key: str, records: Sequence[Any]) -> Mapping[str, Any]:
        """The receipt of records that the request hands in. Raises GraphQLError."""
        ...

    async def receipt(self, identifier: str) -> Mapping[str, Any] | None:
        """A receipt that is asked for again. Raises GraphQLError."""
        ...

    async def returned(self, question: str, given: Mapping[str, Any]) -> Any:
        """What is known of data return: the answer to the root of this name with these arguments. Raises GraphQLError."""
        ...

    def root(self, name: str) -> Any:
        """What was found for the root that stands under `name` in the answer: an EntityView, a list of them, or a mapping."""
        ...
