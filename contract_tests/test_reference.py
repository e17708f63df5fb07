"""The data dictionary and schema reference: complete, linked throughout, and found by search in a real browser, offline."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import parse, validate
from lxml import html
from playwright.sync_api import Page

from contract_tests.browser import Visit, open_page
from gateway.cli import main
from schema.build import build_schema
from schema.load import load_registry
from schema.reference import write_reference
from schema.reference.entities import example_query
from schema.registry import Registry

ROOT = Path(__file__).parents[1]
SCREENSHOTS = ROOT / "build" / "screenshots"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `gateway docs` writes."""
    folder = tmp_path_factory.mktemp("site")
    assert main(["docs", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, html.HtmlElement]:
    """Every page by its path."""
    return {
        str(file.relative_to(site)): html.fromstring(file.read_text("utf-8")) for file in sorted(site.rglob("*.html"))
    }


def test_the_same_specification_gives_the_same_bytes(registry: Registry, tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        write_reference(registry, tmp_path / name)
        files = sorted(file for file in (tmp_path / name).rglob("*") if file.is_file())
        written.append({file.relative_to(tmp_path / name): file.read_bytes() for file in files})
    assert written[0] == written[1]
    assert len(written[0]) > len(registry.entities) + len(registry.codes)


def test_nothing_is_asked_of_any_other_host(site: Path, pages: dict[str, html.HtmlElement]) -> None:
    for path, page in pages.items():
        asked = page.xpath("//@src | //@href | //@srcset | //@action | //@style")
        assert [address for address in asked if "//" in address] == [], path
    for file in (site / "assets").iterdir():
        words = ("@import", "url(", "fetch(", "import(", "XMLHttpRequest")
        assert [word for word in words if word in file.read_text("utf-8")] == [], file.name


def test_every_link_leads_to_a_place_that_exists(site: Path, pages: dict[str, html.HtmlElement]) -> None:
    places = {path: set(page.xpath("//@id")) for path, page in pages.items()}
    dead = []
    for path, page in pages.items():
        for target in page.xpath("//a/@href | //script/@src | //link[@rel='stylesheet']/@href"):
            file, _, place = str(target).partition("#")
            led = (site / path).parent / file if file else site / path
            known = str(led.resolve().relative_to(site.resolve()))
            if not led.exists() or (place and place not in places[known]):
                dead.append((path, target))
    assert dead == []


def test_no_page_gives_two_places_one_name(pages: dict[str, html.HtmlElement]) -> None:
    for path, page in pages.items():
        names = page.xpath("//@id")
        assert len(names) == len(set(names)), path


def test_every_element_stands_on_its_entity_s_page_with_what_is_said_of_it(
    registry: Registry, pages: dict[str, html.HtmlElement]
) -> None:
    for entity in registry.entities.values():
        page = pages[f"entities/{entity.name}.html"]
        for element in entity.elements.values():
            (row,) = page.xpath(f"//tr[@id='{element.id}']")
            text = row.text_content()
            told = (element.title, element.format.text, element.condition, element.definition, element.description)
            more = (element.english_name, *element.synonyms, element.basis, element.version, element.submitting_agency)
            assert [word for word in (*told, *more) if word not in text] == [], element.id


def test_an_element_s_page_says_which_sources_have_it(pages: dict[str, html.HtmlElement]) -> None:
    (row,) = pages["entities/Officer.html"].xpath("//tr[.//code[text()='certNo']]")
    assert "省公共数据共享平台" in row.text_content()


def test_every_example_query_is_valid(registry: Registry, pages: dict[str, html.HtmlElement]) -> None:
    schema = build_schema(registry)._schema
    for entity in registry.entities.values():
        text = example_query(registry, entity, schema)
        assert validate(schema, parse(text)) == [], text
        assert pages[f"entities/{entity.name}.html"].xpath("//pre/code/text()") == [text]


def test_every_type_and_root_of_the_schema_is_found(registry: Registry, pages: dict[str, html.HtmlElement]) -> None:
    schema = build_schema(registry)._schema
    places = {place for path, page in pages.items() if path.startswith("schema/") for place in page.xpath("//@id")}
    enums = {table.type for table in registry.codes.values()}
    made = {name for name in schema.type_map if not name.startswith(("_", "link__"))}
    assert made - set(registry.entities) - enums <= places
    assert schema.query_type is not None
    assert {name for name in schema.query_type.fields if not name.startswith("_")} <= places
    assert "dataElement" in pages["schema/directives.html"].xpath("//h2/@id")


def test_a_code_s_page_says_what_took_its_place(pages: dict[str, html.HtmlElement]) -> None:
    (row,) = pages["codes/division.html"].xpath("//tr[@id='code-350182']")
    assert [cell.text_content().strip() for cell in row] == [
        "350182",
        "长乐市",
        "—",
        "停用 至 2017-12-31",
        "由 350112 长乐区 承接",
    ]


@pytest.fixture(scope="module")
def visit(site: Path) -> Iterator[Visit]:
    with open_page((site / "index.html").as_uri()) as visit:
        yield visit
        assert visit.outside == []
        assert visit.complaints == []


def found(page: Page, words: str) -> list[str]:
    """The results of a search, each as `kind title`."""
    page.locator("#search").fill(words)
    return [" ".join(line.locator("span, strong").all_text_contents()) for line in page.locator("#results a").all()]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("统一社会信用代码", "数据元 统一社会信用代码"),
        ("法定代表", "数据元 法定代表人"),
        ("ZF06010", "数据元 法定代表人"),
        ("zf06010", "数据元 法定代表人"),
        ("legalRepName", "数据元 法定代表人"),
        ("legal_rep_name", "数据元 法定代表人"),
        ("当事人 地址 注册", "数据元 注册(户籍)地址"),
        ("350182", "代码 长乐市"),
        ("长乐市", "代码 长乐市"),
        ("REVOKE_LICENSE", "代码 吊销许可证件"),
        ("CV28", "代码表 处罚种类"),
        ("PenaltyKind", "代码表 处罚种类"),
        ("执法案件", "实体 执法案件"),
        ("holder", "关系 被许可人"),
        ("ElementDefinitionFilter", "类型 ElementDefinitionFilter"),
        ("codeTable", "查询入口 codeTable"),
        ("Money", "类型 Money"),
    ],
)
def test_search_finds(visit: Visit, words: str, first: str) -> None:
    assert found(visit.page, words)[0] == first


def test_search_says_when_there_is_nothing(visit: Visit) -> None:
    assert found(visit.page, "没有这个词") == []
    assert visit.page.locator("#results").text_content() == "没有找到"


def test_a_found_element_is_followed_to_and_opened(visit: Visit, site: Path) -> None:
    page = visit.page
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.goto((site / "index.html").as_uri())
    page.screenshot(path=SCREENSHOTS / "reference-overview.png")
    page.keyboard.press("/")
    page.keyboard.type("信用代码")
    page.screenshot(path=SCREENSHOTS / "reference-search.png")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/entities/Party.html#ZF06004")
    row = page.locator("tr:target")
    assert row.locator("strong").text_content() == "统一社会信用代码"
    assert row.locator("details").get_attribute("open") is not None
    assert row.is_visible()
    page.screenshot(path=SCREENSHOTS / "reference-element.png")
    page.goto((site / "codes" / "division.html").as_uri())
    page.screenshot(path=SCREENSHOTS / "reference-codes.png")


def test_pages_fit_a_narrow_window(visit: Visit, site: Path) -> None:
    visit.page.set_viewport_size({"width": 420, "height": 800})
    for path in ("index.html", "entities/Party.html", "codes/division.html", "schema/index.html"):
        visit.page.goto((site / path).as_uri())
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 420, path
    visit.page.set_viewport_size({"width": 1440, "height": 900})
