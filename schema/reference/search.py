"""What the search of the reference knows: one entry for everything that has an address."""

import json
from collections.abc import Iterator

from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema

from schema.names import camel
from schema.reference.codes import code_path
from schema.reference.entities import element_path
from schema.reference.graphql import named_types, roots
from schema.registry import Registry

Entry = tuple[str, str, str, str, str]
"""Kind, title, what is shown below it, address, and further words it is found by."""


def search_index(registry: Registry, schema: GraphQLSchema) -> str:
    """The entries as a script, since a page from a file may read no other file."""
    entries = [list(entry) for entry in (*_entities(registry), *_codes(registry), *_schema(registry, schema))]
    return f"window.INDEX = {json.dumps(entries, ensure_ascii=False, separators=(',', ':'))};\n"


def _entities(registry: Registry) -> Iterator[Entry]:
    for entity in registry.entities.values():
        page = f"entities/{entity.name}.html"
        yield "实体", entity.title, entity.name, page, entity.description
        for element in entity.elements.values():
            shown = f"{element.id} · {entity.title} · {camel(element.name)}"
            words = (element.name, element.english_name, element.draft_name, element.definition, *element.synonyms)
            yield "数据元", element.title, shown, element_path(entity, element), " ".join(filter(None, words))
        for relation in entity.relations.values():
            shown = f"{entity.title} · {camel(relation.name)}"
            yield "关系", relation.title, shown, f"{page}#relation-{relation.name}", relation.name


def _codes(registry: Registry) -> Iterator[Entry]:
    for listed in registry.codes.values():
        shown = " · ".join(filter(None, (listed.id, listed.name, listed.type)))
        yield "代码表", listed.title, shown, f"codes/{listed.name}.html", listed.basis
        for member in listed.members.values():
            name = "" if member.member == member.code else f" · {member.member}"
            yield "代码", member.title, f"{member.code}{name} · {listed.title}", code_path(listed, member), listed.name


def _schema(registry: Registry, schema: GraphQLSchema) -> Iterator[Entry]:
    for title, made in roots(schema):
        for name, field in made.fields.items():
            yield f"{title}入口", name, field.description or "", f"schema/index.html#{name}", ""
    for made_type, path in named_types(schema, registry):
        inside = ""
        match made_type:
            case GraphQLObjectType() | GraphQLInterfaceType() | GraphQLInputObjectType():
                inside = " ".join(made_type.fields)
            case GraphQLEnumType():
                inside = " ".join(made_type.values)
        yield "类型", made_type.name, made_type.description or "", path, inside
