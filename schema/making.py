"""GraphQL types made while the program runs, since the specification is data: objects, inputs, fields, arguments."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from inspect import Parameter, Signature
from types import MappingProxyType, new_class
from typing import Any

import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from schema.names import camel
from schema.scalars import Cursor
from schema.view import AnswerView

ANSWERED = "answered"
"""Marks, in a field's metadata, the roots that the engine answers by its plan, whoever else may resolve others."""


def make_object(
    name: str,
    fields: Sequence[StrawberryField],
    description: str,
    interfaces: tuple[type, ...] = (),
    directives: Sequence[object] = (),
) -> Any:
    """An object type. Values need not be of this class: whoever implements an interface says its `type_name`."""

    def is_type_of(value: Any, _info: object) -> bool:
        return bool(value.type_name == name)

    namespace: dict[str, Any] = {field.python_name: field for field in fields}
    namespace["__annotations__"] = {field.python_name: field.type for field in fields}
    if interfaces:
        namespace["is_type_of"] = staticmethod(is_type_of)
    made = new_class(name, interfaces, {}, lambda space: space.update(namespace))
    return strawberry.type(made, name=name, description=description, directives=directives)


def make_connection(name: str, target: Any, title: str, page_info: Any) -> Any:
    """The relay connection to a type, and its edge; values are mappings."""
    edge = make_object(
        f"{name}Edge",
        [item_field("cursor", Cursor, "这一条的位置"), item_field("node", target, title)],
        f"{title}列表中的一条",
    )
    fields = [
        item_field("nodes", many(target), "本页各条"),
        item_field("edges", many(edge), "本页各条及其位置"),
        item_field("page_info", page_info, "翻页信息"),
        item_field("total_count", int, "满足条件的总条数"),
    ]
    return make_object(f"{name}Connection", fields, f"{title}列表的一页")


def make_input(name: str, fields: Sequence[StrawberryField], description: str) -> Any:
    """An input type. Its class takes anything and keeps nothing: arguments are read from their coerced dictionaries."""
    made: Any = strawberry.input(type(name, (), {"__annotations__": {}}), name=name, description=description)
    made.__init__ = _take_anything
    made.__strawberry_definition__.fields.extend(fields)
    return made


def _take_anything(*_self: Any, **_given: Any) -> None:
    pass


def make_field(
    name: str,
    annotation: Any,
    description: str,
    resolve: Callable[..., Any],
    arguments: Sequence[StrawberryArgument] = (),
) -> StrawberryField:
    """A field of an object, by its snake_case name. The resolver is called with the root, `info` if it names it, and arguments."""
    if arguments:
        keywords = [Parameter(a.python_name, Parameter.KEYWORD_ONLY, annotation=object) for a in arguments]
        info = Parameter("info", Parameter.POSITIONAL_OR_KEYWORD, annotation=strawberry.Info)
        resolve.__signature__ = Signature([info, *keywords])  # type: ignore[attr-defined]
    field: Any = strawberry.field(resolver=resolve, name=camel(name), description=description)
    field.python_name = name
    field.type_annotation = StrawberryAnnotation(annotation)
    if arguments:
        field.arguments = list(arguments)
    return field  # type: ignore[no-any-return]


def answered_field(
    name: str, annotation: Any, description: str, arguments: Sequence[StrawberryArgument]
) -> StrawberryField:
    """A root, by its GraphQL name: what the engine found for it; its arguments were read when the operation was planned."""

    def resolve(info: strawberry.Info, **_arguments: Any) -> Any:
        answers: AnswerView = info.context
        return answers.root(str(info.path.key))

    field = make_field(name, annotation, description, resolve, arguments)
    field.graphql_name = name
    field.metadata = MappingProxyType({ANSWERED: True})
    return field


def read_field(name: str, annotation: Any, description: str, read: Callable[[Any], Any]) -> StrawberryField:
    """A field whose value `read` takes from the root."""

    def resolve(root: strawberry.Parent[Any]) -> Any:
        return read(root)

    return make_field(name, annotation, description, resolve)


def item_field(name: str, annotation: Any, description: str) -> StrawberryField:
    """A field whose value stands in the root, a mapping, under the same name."""
    return read_field(name, annotation, description, lambda root: root[name])


def input_field(name: str, annotation: Any, description: str, is_required: bool = False) -> StrawberryField:
    """A field of an input type, under exactly this GraphQL name."""
    field: Any = strawberry.field(name=name, description=description)
    field.python_name = f"{name}_"
    field.type_annotation = StrawberryAnnotation(annotation if is_required else annotation | None)
    if not is_required:
        field.default = strawberry.UNSET
    return field  # type: ignore[no-any-return]


def many(kind: Any) -> Any:
    """The annotation of a list of a type that was made while the program runs."""
    return list[kind]


def make_enum(name: str, members: Mapping[str, Any], description: str) -> Any:
    """An enum of these members, each given by `strawberry.enum_value`."""
    return strawberry.enum(Enum(name, dict(members)), description=description)  # type: ignore[call-overload]


def argument(name: str, annotation: Any, description: str, is_required: bool = False) -> StrawberryArgument:
    """An argument of a field."""
    return StrawberryArgument(
        python_name=name,
        graphql_name=camel(name),
        type_annotation=StrawberryAnnotation(annotation if is_required else annotation | None),
        description=description,
    )
