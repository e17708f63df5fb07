"""The second pass, for answers in which something failed: value by value as the specification's “Value Completion” says.

It gives the same data, errors and nulls as graphql-core's executor; a test compares the two on random operations and faults.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLList,
    GraphQLNonNull,
    GraphQLOutputType,
    get_named_type,
    located_error,
)
from graphql.pyutils import is_iterable

from gateway.engine.answer import Answers, View
from gateway.engine.projection.shape import FieldShape, ObjectShape
from schema.names import GLOBAL_ID, PROVENANCE

Path = list[str | int]


def project_carefully(shape: ObjectShape, answers: Answers) -> tuple[Mapping[str, Any] | None, list[GraphQLError]]:
    """The data and its errors, each at its path."""
    completion = _Completion(answers)
    try:
        data = completion.object(shape, None, [])
    except GraphQLError as error:
        return None, [*completion.errors, error]
    return data, completion.errors


class _Completion:
    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.errors: list[GraphQLError] = []

    def object(self, shape: ObjectShape, source: Any, path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for field in shape.fields:
            made[field.name] = shape.kind if field.is_typename else self._field(field, source, [*path, field.name])
        return made

    def _field(self, field: FieldShape, source: Any, path: Path) -> Any:
        return self._guarded(field, field.type, path, lambda: self._read(field, source, path))

    def _guarded(self, field: FieldShape, kind: GraphQLOutputType, path: Path, read: Callable[[], Any]) -> Any:
        """What is read, completed; an error is noted and leaves null, or goes on up where null may not stand."""
        try:
            return self._value(field, kind, read(), path)
        except Exception as raw:
            error = located_error(raw, field.nodes, path)
            if isinstance(kind, GraphQLNonNull):
                raise error from raw
            self.errors.append(error)
            return None

    def _read(self, field: FieldShape, source: Any, path: Path) -> Any:
        if source is None:
            return self.answers.root(field.name)
        if not isinstance(source, View):
            return source[field.read]
        if field.read == GLOBAL_ID:
            return source.id
        if field.read == PROVENANCE:
            return source.provenance()
        relation = source.row.entity.relations.get(field.read)
        if relation is None:
            return _whole(field, source.answer(field.read))
        return source.several(relation.name, path) if relation.many else source.one(relation.name)

    def _value(self, field: FieldShape, kind: GraphQLOutputType, value: Any, path: Path) -> Any:
        if isinstance(value, Exception):
            raise value
        if isinstance(kind, GraphQLNonNull):
            if (found := self._value(field, kind.of_type, value, path)) is None:
                raise TypeError(f"Cannot return null for non-nullable field {field.parent}.{field.what}.")
            return found
        if value is None:
            return None
        if isinstance(kind, GraphQLList):
            return self._items(field, kind.of_type, value, path)
        if field.below is not None:
            name = value.type_name if isinstance(value, View) else next(iter(field.below))
            return self.object(field.below[name], value, path)
        return _leaf(get_named_type(kind), value)

    def _items(self, field: FieldShape, kind: GraphQLOutputType, items: Sequence[Any], path: Path) -> list[Any]:
        if not is_iterable(items):
            raise GraphQLError(f"Expected Iterable, but did not find one for field '{field.parent}.{field.what}'.")

        def completed(number: int, item: Any) -> Any:
            return self._guarded(field, kind, [*path, number], lambda: item)

        return [completed(number, item) for number, item in enumerate(items)]


def _whole(field: FieldShape, value: Any) -> Any:
    """An element's value before it is looked at item by item: a code nobody knows spoils all that stand in one element."""
    kind = get_named_type(field.type)
    if value is not None and isinstance(field.type, GraphQLList) and isinstance(kind, GraphQLEnumType):
        return [_leaf(kind, member) for member in value]
    return list(value) if isinstance(value, tuple) else value


def _leaf(kind: Any, value: Any) -> Any:
    """The value as the type prints it. Codes come as names of members."""
    if isinstance(kind, GraphQLEnumType):
        if value not in kind.values:
            raise ValueError(f"{value!r} is not a valid {kind.name}")
        return value
    if (printed := kind.coerce_output_value(value)) is None:
        raise TypeError(f"Expected a value of {kind.name}, got {value!r}.")
    return printed
