"""The index as the resolvers see it: values, relations, origins, and failures where an answer should have been."""

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import GraphQLError

from gateway.engine.executor import Execution, RootArguments
from gateway.engine.index import Failure, Index, Row, provenance_of
from gateway.engine.selection import Root
from schema.doc_numbers import normal_doc_no
from schema.identity import HashId, key_of
from schema.names import argument_names
from schema.query import DEFAULT_PAGE, LARGEST_PAGE, cursor_of, key_of_cursor
from schema.registry import Entity


def failure_error(failure: Failure, path: Sequence[str | int] | None = None) -> GraphQLError:
    """The error of a failed call, as clients see it: what happened and whether asking again may help."""
    return GraphQLError(
        failure.error.public_message, path=list(path) if path is not None else None, extensions=describe(failure)
    )


def describe(failure: Failure) -> dict[str, Any]:
    """`code`, `source`, `operation` and `retryable` of a failed call."""
    return {
        "code": failure.error.code,
        "source": failure.source,
        "operation": failure.operation,
        "retryable": failure.error.retryable,
    }


class View:
    """One row as an `EntityView`."""

    __slots__ = ("answers", "row")

    def __init__(self, row: Row, answers: "Answers") -> None:
        self.row, self.answers = row, answers

    @property
    def id(self) -> str:
        """The opaque global identifier."""
        return self.row.id

    def answer(self, element: str) -> Any:
        """The element's value, or None. Raises GraphQLError when the source that knows it failed."""
        value = self.row.values.get(element)
        if value is None and self.row.lacks(element) and (failure := self.row.failures.get(element)):
            raise failure_error(failure)
        return value

    def one(self, relation: str) -> "View | None":
        """Where a relation to one leads."""
        keys = self._targets(relation, None)
        return self._view(relation, keys[0]) if keys else None

    def several(self, relation: str, path: Sequence[str | int]) -> "list[View] | None":
        """Where a relation to several leads. When one of several sources failed, the rest is given with an error beside it."""
        keys = self._targets(relation, path)
        return None if keys is None else [self._view(relation, key) for key in keys]

    def provenance(self) -> list[Mapping[str, Any]]:
        """Its origins."""
        return provenance_of(self.row)

    def _targets(self, relation: str, path: Sequence[str | int] | None) -> Sequence[str] | None:
        row, index = self.row, self.row.index
        keys = index.targets(row, relation)
        failure = index.related_failures.get((row.entity.name, row.key, relation))
        if failure is None and keys is None:
            failure = row.failures.get(relation)
        if failure is None:
            return keys
        if not keys or path is None:
            raise failure_error(failure)
        self.answers.beside.append(failure_error(failure, path))
        return keys

    def _view(self, relation: str, key: str) -> "View":
        spec = self.row.entity.relations[relation]
        return View(self.row.index.row(spec.to, key), self.answers)


class Answers:
    """The answers to the roots of one operation; the context value of its execution."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.beside: list[GraphQLError] = []
        """Errors that stand beside data: a list that could be answered only in part."""
        self.places: dict[tuple[str, RootArguments], int] = {}
        for number, (root, arguments) in enumerate(zip(execution.plan.roots, execution.roots, strict=True)):
            self.places[root.part.entity.name, arguments] = number

    @property
    def index(self) -> Index:
        """The rows of this request."""
        return self.execution.index

    def entity(self, entity: str, arguments: Mapping[str, Any]) -> View | None:
        """The entity a root by key asked for, or None when there is none. Raises GraphQLError when nobody could tell."""
        spec = self.index.registry.entities[entity]
        number = self.places[entity, lookup_arguments(spec, arguments, self.execution.services.hash_id)]
        if failure := self.execution.root_failures.get(number):
            raise failure_error(failure)
        key = self.execution.keys[number]
        if key is None:
            return None
        row = self.index.row(entity, key)
        failure = row.failures.get("*")
        if not row.is_told and failure is None:
            return None  # who should know it does not, whoever else may name it
        if not row.contributions and failure is not None:
            raise failure_error(failure)
        return View(row, self)

    def page(self, entity: str, first: int, after: str | None) -> Mapping[str, Any]:
        """The page a list root asked for."""
        number = self.places[entity, list_arguments({"first": first, "after": after})]
        if failure := self.execution.root_failures.get(number):
            raise failure_error(failure)
        page = self.execution.pages[number]
        nodes = [View(self.index.row(entity, key), self) for key in page.keys]
        cursors = [cursor_of(key) for key in page.keys]
        return {
            "nodes": nodes,
            "edges": [{"cursor": cursor, "node": node} for cursor, node in zip(cursors, nodes, strict=True)],
            "page_info": {
                "has_next_page": page.has_next,
                "has_previous_page": after is not None,
                "start_cursor": cursors[0] if cursors else None,
                "end_cursor": cursors[-1] if cursors else None,
            },
            "total_count": page.total,
        }


def root_arguments(root: Root, given: Mapping[str, Any], hash_id: HashId) -> RootArguments:
    """What a root was called with. Raises GraphQLError for a page size out of bounds or a cursor that is not ours."""
    if root.kind == "list":
        return list_arguments(given)
    names = argument_names(root.part.entity)
    elements = {names[name]: value for name, value in given.items() if value is not None}
    return lookup_arguments(root.part.entity, elements, hash_id)


def lookup_arguments(entity: Entity, elements: Mapping[str, Any], hash_id: HashId) -> RootArguments:
    """The key that these elements tell, or the allotted value it has to be found by."""
    if entity.allotted and set(elements) == {entity.allotted}:
        return RootArguments(allotted=str(elements[entity.allotted]))
    normal = {
        name: normal_doc_no(value) if name in entity.elements and entity.elements[name].normal == "doc_no" else value
        for name, value in elements.items()
    }
    return RootArguments(key=key_of(entity, normal, hash_id))


def list_arguments(given: Mapping[str, Any]) -> RootArguments:
    """The page a list root was asked for. Raises GraphQLError."""
    first = given.get("first", DEFAULT_PAGE)
    if not 1 <= first <= LARGEST_PAGE:
        raise GraphQLError(f"first 应在 1 至 {LARGEST_PAGE} 之间，实为 {first}", extensions={"code": "BAD_USER_INPUT"})
    try:
        after = key_of_cursor(given["after"]) if given.get("after") is not None else None
    except ValueError as error:
        raise GraphQLError(str(error), extensions={"code": "BAD_USER_INPUT"}) from None
    return RootArguments(first=first, after=after)
