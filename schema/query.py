"""The roots: every entity by key, and every entity as a list with relay cursors."""

import base64
from collections.abc import Mapping
from inspect import Parameter, Signature
from typing import Any

import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.tools import create_type
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from schema.metadata import make_metadata
from schema.names import argument_names, camel, describe_lookups, list_field, root_field
from schema.registry import OWNER, Entity, Registry
from schema.scalars import Cursor, Uscc
from schema.types import element_type
from schema.view import AnswerView

LARGEST_PAGE = 200
DEFAULT_PAGE = 20


def make_query(registry: Registry, types: Mapping[str, type], enums: Mapping[str, Any]) -> type:
    """The Query type."""
    page_info = create_type(
        "PageInfo",
        [
            _read("has_next_page", bool, "后面还有"),
            _read("has_previous_page", bool, "前面还有"),
            _read("start_cursor", Cursor | None, "本页首条的位置"),
            _read("end_cursor", Cursor | None, "本页末条的位置"),
        ],
        description="翻页信息（Relay）",
    )
    fields: list[StrawberryField] = []
    for entity in registry.entities.values():
        fields.append(_single(entity, types[entity.name], enums))
        fields.append(_list(entity, _connection(entity, types[entity.name], page_info)))
    fields.extend(make_metadata(registry, page_info))
    return create_type("Query", fields, description="查询入口：按键查一个，或逐页列出")


def cursor_of(key: str) -> str:
    """The opaque cursor that stands after the entity with this key."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def key_of_cursor(cursor: str) -> str:
    """The key behind a cursor. Raises ValueError when it is none of ours."""
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        key = ""
    if not key or cursor_of(key) != cursor:
        raise ValueError("after 不是有效的翻页位置")
    return key


def _single(entity: Entity, target: Any, enums: Mapping[str, Any]) -> StrawberryField:
    names = argument_names(entity)

    def resolve(info: strawberry.Info, **arguments: Any) -> Any:
        given = {names[camel(name)]: value for name, value in arguments.items() if value is not None}
        answers: AnswerView = info.context
        return answers.entity(entity.name, given)

    kinds = {name: Uscc if name == OWNER else element_type(entity.elements[name], enums) for name in names.values()}
    arguments = [
        StrawberryArgument(
            python_name=name,
            graphql_name=camel(name),
            type_annotation=StrawberryAnnotation(kind | None),
            description="数据责任机关" if name == OWNER else entity.elements[name].title,
        )
        for name, kind in kinds.items()
    ]
    description = f"{entity.title}，按键查询：{describe_lookups(entity)}。没有时为 null"
    return _root(root_field(entity), target | None, description, resolve, arguments)


def _list(entity: Entity, connection: Any) -> StrawberryField:
    def resolve(info: strawberry.Info, **arguments: Any) -> Any:
        answers: AnswerView = info.context
        return answers.page(entity.name, arguments.get("first", DEFAULT_PAGE), arguments.get("after"))

    arguments = [
        StrawberryArgument(
            python_name="first",
            graphql_name="first",
            type_annotation=StrawberryAnnotation(int),
            default=DEFAULT_PAGE,
            description=f"本页条数，1 至 {LARGEST_PAGE}",
        ),
        StrawberryArgument(
            python_name="after",
            graphql_name="after",
            type_annotation=StrawberryAnnotation(Cursor | None),
            description="从哪条之后开始（上一页的 endCursor）",
        ),
    ]
    description = f"{entity.title}列表，取自本地存储（数据回流），按键排序"
    return _root(list_field(entity), connection, description, resolve, arguments)


def _connection(entity: Entity, target: Any, page_info: Any) -> Any:
    edge = create_type(
        f"{entity.name}Edge",
        [_read("cursor", Cursor, "这一条的位置"), _read("node", target, entity.title)],
        description=f"{entity.title}列表中的一条",
    )
    return create_type(
        f"{entity.name}Connection",
        [
            _read("nodes", list[target], "本页各条"),
            _read("edges", list[edge], "本页各条及其位置"),  # type: ignore[valid-type]
            _read("page_info", page_info, "翻页信息"),
            _read("total_count", int, "总条数"),
        ],
        description=f"{entity.title}列表的一页",
    )


def _read(name: str, annotation: Any, description: str) -> StrawberryField:
    def resolve(root: strawberry.Parent[Any]) -> Any:
        return root[name]

    return _root(camel(name), annotation, description, resolve, [], name)


def _root(
    graphql_name: str,
    annotation: Any,
    description: str,
    resolve: Any,
    arguments: list[StrawberryArgument],
    python_name: str | None = None,
) -> StrawberryField:
    if arguments:
        keywords = [Parameter(a.python_name, Parameter.KEYWORD_ONLY, annotation=object) for a in arguments]
        info = Parameter("info", Parameter.POSITIONAL_OR_KEYWORD, annotation=strawberry.Info)
        resolve.__signature__ = Signature([info, *keywords])
    field: Any = strawberry.field(resolver=resolve, name=graphql_name, description=description)
    field.python_name = python_name or graphql_name
    field.type_annotation = StrawberryAnnotation(annotation)
    if arguments:
        field.arguments = arguments
    return field  # type: ignore[no-any-return]
