"""The index as the resolvers see it: values, relations, origins, and failures where an answer should have been."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import DocumentNode, GraphQLError

from gateway.engine.data_return import returned
from gateway.engine.executor import Execution, Submissions
from gateway.engine.index import Failure, Index, Row, provenance_of
from gateway.store.search import Found, Search
from schema.cursors import Position, print_cursor
from schema.grouping import FUNCTIONS
from schema.names import NODE_FIELD


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
    def type_name(self) -> str:
        """The name of its entity."""
        return self.row.entity.name

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


class PageView:
    """A page of a list, read by the names of a connection's fields; what is not asked for is not made."""

    def __init__(self, answers: "Answers", search: Search, page: Found) -> None:
        self.answers, self.search, self.page = answers, search, page

    def __getitem__(self, name: str) -> Any:
        match name:
            case "nodes":
                index, entity, view = self.answers.index, self.search.entity, self.answers.view
                return [view(index.row(entity, key), self.answers) for key in self.page.keys]
            case "edges":
                cursors = map(self._cursor, self.page.positions)
                return [{"cursor": c, "node": node} for c, node in zip(cursors, self["nodes"], strict=True)]
            case "page_info":
                positions = self.page.positions
                return {
                    "has_next_page": self.page.has_next,
                    "has_previous_page": self.page.has_previous,
                    "start_cursor": self._cursor(positions[0]) if positions else None,
                    "end_cursor": self._cursor(positions[-1]) if positions else None,
                }
            case "total_count":
                return self.page.total
        raise KeyError(name)

    def _cursor(self, position: Position) -> str:
        entity = self.answers.index.registry.entities[self.search.entity]
        return print_cursor(entity, self.search.order, position)


def row_as_it_is(row: Row, _answers: "Answers") -> Row:
    """The row itself, for generated code that reads it directly."""
    return row


class Answers:
    """The answers to the roots of one operation; the context value of its execution."""

    def __init__(
        self, execution: Execution, document: DocumentNode, view: "Callable[[Row, Answers], Any]" = View
    ) -> None:
        self.execution, self.document, self.view = execution, document, view
        self.beside: list[GraphQLError] = []
        """Errors that stand beside data: a list that could be answered only in part."""

    @property
    def index(self) -> Index:
        """The rows of this request."""
        return self.execution.index

    async def submit(self, source: str, operation: str, key: str, records: Sequence[Any]) -> Mapping[str, Any]:
        """The receipt of records that the request hands in. Raises GraphQLError."""
        return await self._submissions.submit(self.execution.context, source, operation, key, records)

    async def receipt(self, identifier: str) -> Mapping[str, Any] | None:
        """A receipt that is asked for again. Raises GraphQLError."""
        return await self._submissions.receipt(self.execution.context, identifier)

    async def returned(self, question: str, given: Mapping[str, Any]) -> Any:
        """What is known of data return. Raises GraphQLError."""
        return await returned(self.execution, question, given)

    @property
    def _submissions(self) -> Submissions:
        if (found := self.execution.services.submissions) is None:
            raise GraphQLError("交付入口没有开放", extensions={"code": "DELIVERY_CLOSED"})
        return found

    def root(self, name: str) -> Any:
        """What was found for the root that stands under `name` in the answer. Raises GraphQLError when nobody could tell."""
        number = self.execution.plan.places[name]
        root = self.execution.plan.roots[number]
        if failure := self.execution.root_failures.get(number):
            raise failure_error(failure)
        match root.kind:
            case "list":
                return self._page(number)
            case "groups":
                return self._groups(number)
        found = [
            GraphQLError(reference.problem, extensions={"code": "BAD_USER_INPUT"})
            if reference.problem
            else self._entity(reference.entity, key)
            for reference, key in zip(self.execution.roots[number].references, self.execution.keys[number], strict=True)
        ]
        is_list = root.kind == "any" and root.node.name.value != NODE_FIELD
        return found if is_list else found[0]

    def _entity(self, entity: str, key: str | None) -> Any:
        """The entity, None when there is none, an error when nobody could tell."""
        if key is None:
            return None
        row = self.index.row(entity, key)
        failure = row.failures.get("*")
        if not row.is_told and failure is None:
            return None  # who should know it does not, whoever else may name it
        if not row.contributions and failure is not None:
            return failure_error(failure)
        return self.view(row, self)

    def _page(self, number: int) -> "PageView":
        search, page = self.execution.roots[number].search, self.execution.pages[number]
        assert search is not None
        return PageView(self, search, page)

    def _groups(self, number: int) -> Mapping[str, Any]:
        counted = self.execution.counted[number]
        groups: list[Mapping[str, Any]] = []
        for group in counted.groups:
            measured: dict[str, dict[str, Any]] = {function: {} for function in FUNCTIONS}
            for (function, element), value in group.measured.items():
                measured[function][element] = value
            groups.append({"key": defaultdict(_nothing, group.key), "count": group.count, **measured})
        return {"groups": groups, "has_more": counted.has_more}


def _nothing() -> None:
    """What a group's key holds for what was not grouped by."""
