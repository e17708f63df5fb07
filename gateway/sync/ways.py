"""Which way through its source a `changes` operation allows: what its request can say."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from adapters.mapping.model import Field, OperationMapping


def is_by_token(operation: OperationMapping) -> bool:
    """Whether the source itself says, in words of its own, where to go on."""
    return operation.written.page is not None and operation.written.page.next is not None


def is_numbered(operation: OperationMapping) -> bool:
    """Whether the request has a place for the number of a page."""
    return mentions(operation, "$page")


def mentions(operation: OperationMapping, word: str) -> bool:
    """Whether the request has a place for this."""
    request = operation.written.request
    return any(_mentions(tree, word) for tree in (request.query, request.json_body, request.form, request.message))


def same_text(cursor: Field) -> Callable[[Any, Any], bool]:
    """Whether the source writes two values of its cursor alike."""
    write = cursor.print_key
    assert write is not None
    return lambda one, other: write(one) == write(other)


def following(value: Any) -> Any:
    """The least value behind this one that every source can tell from it; None where nobody can say."""
    if isinstance(value, datetime):
        return value + timedelta(seconds=1)
    if isinstance(value, date):
        return value + timedelta(days=1)
    return value + 1 if isinstance(value, int) else None


def _mentions(tree: object, word: str) -> bool:
    if isinstance(tree, Mapping):
        return any(_mentions(value, word) for value in tree.values())
    if isinstance(tree, list):
        return any(_mentions(value, word) for value in tree)
    return tree == word
