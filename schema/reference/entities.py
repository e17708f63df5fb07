"""The pages of entities and their elements: the data dictionary proper."""

from collections.abc import Iterator, Mapping, Sequence

from graphql import GraphQLObjectType, GraphQLSchema
from lxml import etree

from schema.names import camel, describe_lookups, list_field, root_field
from schema.reference.graphql import field_rows, type_links
from schema.reference.html import Page, Piece, badge, code, facts, joined, link, row, table, tag
from schema.registry import OWNER, Element, Entity, Registry, Relation
from schema.words import NEEDS, SENSITIVITIES, STATUSES

Sources = Mapping[tuple[str, str], Sequence[str]]
"""By entity and element: the titles of the sources whose mappings have it."""
SHOWN = 6


def entity_pages(registry: Registry, schema: GraphQLSchema, sources: Sources) -> Iterator[Page]:
    """A page for each entity, and one that lists all elements."""
    for entity in registry.entities.values():
        yield _entity_page(registry, entity, schema, sources)
    yield _elements_page(registry)


def element_path(entity: Entity, element: Element) -> str:
    """Where an element stands."""
    return f"entities/{entity.name}.html#{element.id}"


def example_query(registry: Registry, entity: Entity, schema: GraphQLSchema) -> str:
    """A valid query for one entity by its first key, with a few elements and the first relation."""
    assert schema.query_type is not None
    arguments = schema.query_type.fields[root_field(entity)].args
    names = [camel(name) for name in entity.lookups[0]]
    declared = ", ".join(f"${name}: {str(arguments[name].type).rstrip('!')}!" for name in names)
    given = ", ".join(f"{name}: ${name}" for name in names)
    elements = sorted(entity.elements.values(), key=lambda element: not element.core)[:SHOWN]
    lines = [f"query {entity.name}({declared}) {{", f"  {root_field(entity)}({given}) {{"]
    lines += [f"    {camel(element.name)}" for element in elements]
    for relation in [*entity.relations.values()][:1]:
        target = registry.entities[relation.to]
        shown = " ".join(camel(name) for name in [*target.elements][:2])
        lines.append(f"    {camel(relation.name)} {{ {shown} }}")
    return "\n".join([*lines, "    provenance { source mode asOf }", "  }", "}"])


def _entity_page(registry: Registry, entity: Entity, schema: GraphQLSchema, sources: Sources) -> Page:
    made = schema.type_map[entity.name]
    assert isinstance(made, GraphQLObjectType)
    elements = entity.elements.values()
    keys = joined((code(" + ".join(map(camel, combination))) for combination in entity.identity), "，缺时 ")
    incoming = [(o, r) for o in registry.entities.values() for r in o.relations.values() if r.to == entity.name]
    body: list[Piece] = [
        tag("p", entity.description, class_="lead") if entity.description else None,
        facts(
            (
                "按键查询",
                [
                    link(f"schema/index.html#{root_field(entity)}", code(root_field(entity))),
                    f"（{describe_lookups(entity)}）",
                ],
            ),
            ("列表", link(f"schema/index.html#{list_field(entity)}", code(list_field(entity)))),
            ("主键", keys),
            ("由网关编号", code(camel(entity.allotted)) if entity.allotted else None),
            (
                "规模",
                f"{len(elements)} 个数据元，其中核心 {sum(e.core for e in elements)} 个；{len(entity.relations)} 个关系",
            ),
        ),
        tag("h2", "数据元", id="elements"),
        table(
            ("标识", "名称", "格式与类型", "约束", "值域", "定义与说明"),
            (_element_row(registry, entity, element, made, sources) for element in elements),
            class_="elements",
        ),
    ]
    if entity.relations:
        rows = (_relation_row(registry, relation) for relation in entity.relations.values())
        body += [tag("h2", "本实体的关系", id="relations"), table(("字段", "名称", "实体", "数量", "依据"), rows)]
    if incoming:
        rows = (_incoming_row(other, relation) for other, relation in incoming)
        body += [tag("h2", "通向本实体的关系", id="referenced-by"), table(("实体", "字段", "名称", "数量"), rows)]
    own = {camel(name) for name in (*entity.elements, *entity.relations)}
    others = {name: field for name, field in made.fields.items() if name not in own}
    body += [
        tag("h2", "GraphQL 中另有的字段", id="fields"),
        table(("字段", "类型", "说明"), field_rows(others, registry)),
    ]
    example = example_query(registry, entity, schema)
    body += [tag("h2", "查询示例", id="example"), tag("pre", tag("code", example))]
    return Page(f"entities/{entity.name}.html", f"{entity.title} {entity.name}", "index.html", body)


def _element_row(
    registry: Registry, entity: Entity, element: Element, made: GraphQLObjectType, sources: Sources
) -> etree._Element:
    condition = tag("small", element.condition) if element.condition else None
    told = [tag("p", text) for text in (element.definition, element.description) if text]
    if element.sensitivity != "public":
        told.append(tag("p", badge(SENSITIVITIES[element.sensitivity], element.sensitivity)))
    return row(
        [tag("a", element.id, href=f"#{element.id}", class_="id"), "★" if element.core else None],
        [tag("strong", element.title), code(camel(element.name))],
        [
            code(element.format.text),
            f" {element.unit}" if element.unit else None,
            tag("small", *type_links(made.fields[camel(element.name)].type, registry)),
        ],
        [badge(NEEDS[element.need], f"need-{element.need}"), condition],
        _values(registry, element),
        [*told, _all_attributes(entity, element, sources)],
        id=element.id,
    )


def _values(registry: Registry, element: Element) -> list[Piece]:
    pieces: list[Piece] = []
    if element.codes in registry.codes:
        listed = registry.codes[str(element.codes)]
        pieces.append(link(f"codes/{listed.name}.html", listed.title))
    if element.refers:
        other = registry.entities[element.refers[0]]
        target = other.elements[element.refers[1]]
        pieces.append(tag("small", "引用 ", link(element_path(other, target), f"{other.name}.{camel(target.name)}")))
    return pieces


def _all_attributes(entity: Entity, element: Element, sources: Sources) -> etree._Element:
    lasts = f"{element.effective_from or ''} 至 {element.effective_to or '今'}".strip()
    return tag(
        "details",
        tag("summary", "全部属性"),
        facts(
            ("标识名", code(element.name)),
            ("英文名称", element.english_name),
            ("同义名称", "、".join(element.synonyms)),
            ("对象类词", element.object_class_term),
            ("特性词", element.property_term),
            ("表示词", element.representation_term),
            ("计量单位", element.unit),
            ("校验", code(element.check) if element.check else None),
            ("敏感程度", SENSITIVITIES[element.sensitivity]),
            ("注册状态", STATUSES[element.status]),
            ("版本", element.version),
            ("有效期", lasts if element.effective_from or element.effective_to else ""),
            ("提交机构", element.submitting_agency),
            ("草案名称", code(element.draft_name) if element.draft_name else None),
            ("依据", element.basis),
            ("官方标识", element.sf_ref or "尚未取得"),
            ("提供的来源", "、".join(sources.get((entity.name, element.name), ()))),
        ),
    )


def _relation_row(registry: Registry, relation: Relation) -> etree._Element:
    target = registry.entities[relation.to]
    if relation.by:
        own = "数据责任机关" if relation.by == OWNER else code(camel(relation.by))
        how: list[Piece] = ["本实体的 ", own]
    elif relation.inverse:
        how = [f"{target.title}的 ", code(camel(relation.inverse))]
    else:
        how = ["来源的记录"]
    led = link(f"entities/{target.name}.html", target.title)
    return row(code(camel(relation.name)), relation.title, led, _count(relation), how, id=f"relation-{relation.name}")


def _incoming_row(other: Entity, relation: Relation) -> etree._Element:
    target = link(f"entities/{other.name}.html#relation-{relation.name}", code(camel(relation.name)))
    return row(link(f"entities/{other.name}.html", other.title), target, relation.title, _count(relation))


def _count(relation: Relation) -> str:
    return "多个" if relation.many else "一个"


def _elements_page(registry: Registry) -> Page:
    rows = (
        row(
            [link(element_path(entity, element), element.id, class_="id"), "★" if element.core else None],
            element.title,
            code(camel(element.name)),
            link(f"entities/{entity.name}.html", entity.title),
            code(element.format.text),
            badge(NEEDS[element.need], f"need-{element.need}"),
            SENSITIVITIES[element.sensitivity],
        )
        for entity in registry.entities.values()
        for element in entity.elements.values()
    )
    head = ("标识", "名称", "字段", "实体", "格式", "约束", "敏感程度")
    return Page("elements.html", "全部数据元", "elements.html", [table(head, rows)])
