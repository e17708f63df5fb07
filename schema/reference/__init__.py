"""The data dictionary and schema reference as static pages: Chinese, searchable, readable from a file and offline."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from graphql import GraphQLSchema
from graphql import build_schema as read_schema
from lxml import etree

from schema.build import build_schema, print_schema
from schema.reference.codes import code_pages
from schema.reference.entities import Sources, entity_pages
from schema.reference.graphql import schema_pages
from schema.reference.html import Page, Piece, code, link, print_page, tag
from schema.reference.search import search_index
from schema.registry import Registry

ASSETS = Path(__file__).parent / "assets"


def write_reference(registry: Registry, folder: Path, sources: Sources | None = None) -> Path:
    """Write the pages into `folder` and return the first one; the same specification gives the same bytes.

    `sources` tells by entity and element which sources have it.
    """
    schema = read_schema(print_schema(build_schema(registry)))
    assets = folder / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    for file in ("style.css", "search.js"):
        shutil.copyfile(ASSETS / file, assets / file)
    (assets / "index.js").write_text(search_index(registry, schema), encoding="utf-8")
    for page in _pages(registry, schema, sources or {}):
        file_of_page = folder / page.path
        file_of_page.parent.mkdir(parents=True, exist_ok=True)
        file_of_page.write_text(print_page(page, registry.version, _aside(registry, page)), encoding="utf-8")
    return folder / "index.html"


def _pages(registry: Registry, schema: GraphQLSchema, sources: Sources) -> Iterator[Page]:
    yield _overview(registry, schema)
    yield from entity_pages(registry, schema, sources)
    yield from code_pages(registry)
    yield from schema_pages(registry, schema)


def _overview(registry: Registry, schema: GraphQLSchema) -> Page:
    entities = registry.entities.values()
    numbers = (
        (len(entities), "实体", "index.html"),
        (sum(len(entity.elements) for entity in entities), "数据元", "elements.html"),
        (
            sum(element.core for entity in entities for element in entity.elements.values()),
            "核心数据元",
            "elements.html",
        ),
        (len(registry.codes), "代码表", "codes/index.html"),
        (len(schema.query_type.fields) if schema.query_type else 0, "查询入口", "schema/index.html"),
    )
    cards = (
        link(
            f"entities/{entity.name}.html",
            tag("strong", entity.title),
            code(entity.name),
            tag("p", entity.description),
            tag("small", f"{len(entity.elements)} 个数据元 · {len(entity.relations)} 个关系"),
            class_="card",
        )
        for entity in entities
    )
    body: list[Piece] = [
        tag("p", "一套规范，一个统一 schema：每个实体、数据元、代码表和查询入口都在这里，可离线浏览。", class_="lead"),
        tag("div", *(link(to, tag("b", str(n)), tag("span", name)) for n, name, to in numbers), class_="numbers"),
        tag("h2", "实体", id="entities"),
        tag("div", *cards, class_="cards"),
    ]
    return Page("index.html", "数据字典与 schema 参考", "index.html", body)


def _aside(registry: Registry, page: Page) -> etree._Element | None:
    """The list beside the page: entities, or code tables on their pages; none where the page itself is the list."""
    if page.path.startswith("entities/"):
        listed = [(f"entities/{entity.name}.html", entity.title) for entity in registry.entities.values()]
    elif page.path.startswith("codes/") and page.path != "codes/index.html":
        listed = [(f"codes/{table.name}.html", table.title) for table in registry.codes.values()]
    else:
        return None
    links = (
        tag("li", link(path, title, **({"aria-current": "page"} if path == page.path else {})))
        for path, title in listed
    )
    return tag("aside", tag("ul", *links), **{"aria-label": "同类"})
