"""The pages of the GraphQL schema: roots, types, inputs, enums, scalars and directives, each linked to the others."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLDirective,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_introspection_type,
    is_specified_directive,
)
from graphql.language import print_ast
from lxml import etree

from schema.reference.html import Page, Piece, code, facts, joined, link, prose, row, table, tag
from schema.registry import Registry

OVERVIEW = "schema/index.html"
PAGES = {
    "objects": "对象、接口与联合类型",
    "inputs": "输入类型",
    "enums": "枚举",
    "scalars": "标量",
    "directives": "指令",
}
STANDARD = {
    "String": "文本（UTF-8）",
    "Int": "32 位整数",
    "Float": "双精度浮点数",
    "Boolean": "真或假",
    "ID": "标识，以文本传输",
    "JSON": "任意 JSON 值",
}


def schema_pages(registry: Registry, schema: GraphQLSchema) -> Iterator[Page]:
    """The overview with the roots, and a page for each kind of type."""
    yield Page(OVERVIEW, "GraphQL 参考", OVERVIEW, list(_overview(registry, schema)))
    for name, title in PAGES.items():
        body = [tag("p", link(OVERVIEW, "← GraphQL 参考"), class_="up"), *_kind(name, registry, schema)]
        yield Page(f"schema/{name}.html", title, OVERVIEW, body)


def named_types(schema: GraphQLSchema, registry: Registry) -> Iterator[tuple[GraphQLNamedType, str]]:
    """The types that stand on pages of the schema, with their addresses; entities and code tables have pages of their own."""
    roots = {made.name for made in (schema.query_type, schema.mutation_type, schema.subscription_type) if made}
    for made in schema.type_map.values():
        path = type_path(made, registry)
        if path.startswith("schema/") and made.name not in roots and not is_introspection_type(made):
            yield made, path


def roots(schema: GraphQLSchema) -> Iterator[tuple[str, GraphQLObjectType]]:
    """The root types with their Chinese names."""
    for title, made in (
        ("查询", schema.query_type),
        ("变更", schema.mutation_type),
        ("订阅", schema.subscription_type),
    ):
        if made:
            yield title, made


def type_path(made: GraphQLNamedType, registry: Registry) -> str:
    """Where a type stands."""
    if made.name in registry.entities:
        return f"entities/{made.name}.html"
    listed = next((one.name for one in registry.codes.values() if one.type == made.name), None)
    return f"codes/{listed}.html" if listed else f"schema/{_page_of(made)}.html#{made.name}"


def type_links(kind: Any, registry: Registry) -> list[Piece]:
    """A type as it is written, its name leading to it: `[`Party`!]!`."""
    made = get_named_type(kind)
    before, _, after = str(kind).partition(made.name)
    return [before, link(type_path(made, registry), made.name, class_="type"), after]


def field_rows(fields: Mapping[str, GraphQLField], registry: Registry) -> Iterator[etree._Element]:
    """Rows of field, type and description, arguments below the name."""
    for name, field in fields.items():
        arguments = [tag("li", *_input(key, argument, registry)) for key, argument in field.args.items()]
        described: list[Piece] = [tag("p", *prose(field.description))]
        if field.deprecation_reason:
            described.append(tag("p", f"已弃用：{field.deprecation_reason}", class_="deprecated"))
        listed = tag("ul", *arguments, class_="arguments") if arguments else None
        yield row([code(name)], type_links(field.type, registry), [*described, listed], id=name)


def _overview(registry: Registry, schema: GraphQLSchema) -> Iterator[Piece]:
    count = dict.fromkeys(PAGES, 0)
    for made, _ in named_types(schema, registry):
        count[_page_of(made)] += 1
    count["directives"] = len(_directives(schema))
    counted = (link(f"schema/{name}.html", f"{title}（{count[name]}）") for name, title in PAGES.items())
    yield tag("p", "实体类型见各实体，代码表枚举见各代码表；其余在此：", *joined(counted), "。", class_="lead")
    for title, made in roots(schema):
        yield tag("h2", f"{title}入口 ", code(made.name), id=made.name)
        yield table(("入口", "类型", "说明与参数"), field_rows(made.fields, registry))


def _kind(name: str, registry: Registry, schema: GraphQLSchema) -> Iterator[Piece]:
    if name == "directives":
        for directive in _directives(schema):
            yield from _directive(directive, registry)
        return
    if name == "enums":
        rows = (
            row(code(one.type), link(f"codes/{one.name}.html", one.title), str(len(one.members)))
            for one in registry.codes.values()
            if one.type
        )
        yield table(("代码表枚举", "代码表", "成员数"), rows)
    ordered = sorted(named_types(schema, registry), key=lambda pair: pair[0].name)
    listed = [made for made, path in ordered if path.startswith(f"schema/{name}.html")]
    if name == "scalars":
        described = (
            row(code(made.name), prose(STANDARD.get(made.name, made.description)), id=made.name) for made in listed
        )
        yield table(("标量", "说明"), described)
        return
    for made in listed:
        yield tag("h2", code(made.name), id=made.name)
        yield tag("p", *prose(made.description))
        yield _contents(made, registry)


def _contents(made: GraphQLNamedType, registry: Registry) -> etree._Element | None:
    match made:
        case GraphQLObjectType() | GraphQLInterfaceType():
            return table(("字段", "类型", "说明与参数"), _without_ids(field_rows(made.fields, registry)))
        case GraphQLInputObjectType():
            rows = (
                row(code(key), type_links(one.type, registry), prose(one.description))
                for key, one in made.fields.items()
            )
            return table(("字段", "类型", "说明"), rows)
        case GraphQLEnumType():
            return table(("值", "说明"), (row(code(key), prose(v.description)) for key, v in made.values.items()))
        case GraphQLUnionType():
            return tag("p", "其一：", *joined(link(type_path(one, registry), one.name) for one in made.types))
    return None


def _without_ids(rows: Iterator[etree._Element]) -> Iterator[etree._Element]:
    """Fields of several types stand on one page, where a name is not unique."""
    for one in rows:
        del one.attrib["id"]
        yield one


def _directive(directive: GraphQLDirective, registry: Registry) -> Iterator[Piece]:
    yield tag("h2", code(f"@{directive.name}"), id=directive.name)
    yield tag("p", *prose(directive.description))
    yield facts(
        ("位置", "、".join(location.name for location in directive.locations)),
        ("可重复", "是" if directive.is_repeatable else "否"),
    )
    arguments = [tag("li", *_input(key, argument, registry)) for key, argument in directive.args.items()]
    yield tag("ul", *arguments, class_="arguments") if arguments else None


def _directives(schema: GraphQLSchema) -> list[GraphQLDirective]:
    return [directive for directive in schema.directives if not is_specified_directive(directive)]


def _input(name: str, given: GraphQLArgument, registry: Registry) -> list[Piece]:
    default = given.ast_node.default_value if given.ast_node else None
    shown = f" = {print_ast(default)}" if default else ""
    return [code(name), "：", *type_links(given.type, registry), shown, " ", *prose(given.description)]


def _page_of(made: GraphQLNamedType) -> str:
    match made:
        case GraphQLInputObjectType():
            return "inputs"
        case GraphQLEnumType():
            return "enums"
        case GraphQLScalarType():
            return "scalars"
        case _:
            return "objects"
