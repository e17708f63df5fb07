"""The page at `/graphql` runs a query in a real browser that can reach nothing but this process."""

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import strawberry
import uvicorn
from lxml.html import fromstring
from playwright.sync_api import Error, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from contract_tests.browser import open_page
from gateway.console.page import Example, console_page, read_examples, static_routes

ROOT = Path(__file__).parents[1]
STATIC = ROOT / "gateway/console/static"
GREET = "($name: String!) {\n  greeting(name: $name)\n}\n"
EXAMPLES = [
    Example("federated", "一次查询，六个系统", f"# 一次查询，六个系统\nquery Federated{GREET}", '{"name": "福建"}'),
    Example("second", "另一个查询", f"# 另一个查询\nquery Second{GREET}", '{"name": "闽"}'),
    Example("hostile", "</script><b>", "# </script><script>alert()</script>\nquery Hostile {\n  greeting\n}\n"),
]

COLOURED = """() => new Set(
  Array.from(document.querySelectorAll(".graphiql-query-editor [class^=mtk]"), piece => piece.className)
).size > 3"""


@strawberry.type
class Query:
    @strawberry.field(description="问候")
    def greeting(self, name: str = "执法") -> str:
        return f"你好，{name}！"


def console(static: Path) -> Starlette:
    schema = strawberry.Schema(Query)

    async def answer(request: Request) -> JSONResponse:
        asked = await request.json()
        result = await schema.execute(asked["query"], asked.get("variables"), operation_name=asked.get("operationName"))
        return JSONResponse({"data": result.data, "errors": [error.formatted for error in result.errors or []]})

    def page(_: Request) -> HTMLResponse:
        return HTMLResponse(console_page(EXAMPLES, static))

    routes = [Route("/graphql", answer, methods=["POST"]), Route("/graphql", page), static_routes(static)]
    return Starlette(routes=routes)


@contextmanager
def serving(static: Path) -> Iterator[str]:
    """The address of a real server with the page, its files and a small endpoint."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(console(static), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    subprocess.run(["sh", "docker/build-console"], cwd=ROOT, check=True)
    assert (STATIC / "console.js").is_file(), "these tests need the GraphiQL page: install Node.js and npm"
    with serving(STATIC) as host:
        yield f"{host}/graphql"


def drawn_titles(page: Page) -> list[str]:
    """The tabs' titles as people see them: drawn by the style sheet over the operations' names."""
    titles: list[str] = page.locator(".graphiql-tab-button").evaluate_all(
        "tabs => tabs.map(tab => JSON.parse(getComputedStyle(tab, '::after').content))"
    )
    return titles


def test_the_page_shows_each_example_as_a_tab_and_runs_the_first_with_the_network_closed(address: str) -> None:
    with open_page(address) as visit:
        page = visit.page
        page.get_by_role("button", name="Execute query").click()
        page.locator(".graphiql-response .view-lines", has_text="你好，福建！").wait_for()
        page.wait_for_function(COLOURED)
        page.screenshot(path=screenshot("graphiql.png"))

        assert drawn_titles(page) == [example.title for example in EXAMPLES]
        assert page.title() == "闽执法数据联邦网关"
        page.reload()
        page.get_by_role("button", name="Execute query").wait_for()
        assert drawn_titles(page) == [example.title for example in EXAMPLES]
    assert visit.outside == []
    assert visit.complaints == []


def test_another_tab_brings_its_own_query_and_variables(address: str) -> None:
    with open_page(address) as visit:
        page = visit.page
        page.locator(".graphiql-tab-button").nth(1).click()
        page.get_by_role("button", name="Execute query").click()
        page.locator(".graphiql-response .view-lines", has_text="你好，闽！").wait_for()
    assert visit.outside == []


def test_the_editor_and_the_documentation_know_the_schema(address: str) -> None:
    with open_page(address) as visit:
        page = visit.page
        page.get_by_role("button", name="Show Documentation Explorer").click()
        page.locator(".graphiql-doc-explorer-content a", has_text="Query").click()
        page.locator(".graphiql-doc-explorer-content", has_text="问候").wait_for()

        page.locator(".graphiql-query-editor .monaco-editor").click()
        page.keyboard.press("Control+A")
        page.keyboard.type("query Federated { unknownField }")
        page.locator(".graphiql-query-editor .squiggly-error").first.wait_for()
        assert drawn_titles(page)[0] == EXAMPLES[0].title
    assert visit.outside == []
    assert visit.complaints == []


def test_the_page_itself_may_load_nothing_from_elsewhere(address: str) -> None:
    with open_page(address) as visit:
        visit.page.evaluate(
            "document.body.append(Object.assign(new Image(), {src: 'http://outside.example/pixel.png'}))"
        )
        visit.page.wait_for_function("document.images[document.images.length - 1].complete")
    assert visit.outside == []
    assert "Content Security Policy" in visit.complaints[0]


def test_the_browser_stops_and_tells_what_is_asked_of_another_host(address: str) -> None:
    with open_page(address) as visit:
        with visit.page.expect_worker(lambda worker: "graphql.worker" in worker.url) as started:
            visit.page.reload()
        started.value.evaluate("fetch('http://outside.example/from-a-worker').catch(String)")
        with pytest.raises(Error, match="ERR_FAILED"):
            visit.page.goto("http://outside.example/")
    assert visit.outside == ["http://outside.example/from-a-worker", "http://outside.example/"]


def test_without_its_bundle_the_page_tells_how_to_ask_and_how_to_get_it(tmp_path: Path) -> None:
    with serving(tmp_path / "static") as host:
        page = httpx.get(f"{host}/graphql")
        script = httpx.get(f"{host}/console/static/console.js")
    assert (page.status_code, script.status_code) == (200, 404)
    for told in ('<html lang="zh-CN">', "curl http://127.0.0.1:8080/graphql", "make setup", "Node.js", "The API works"):
        assert told in page.text


def test_an_example_cannot_end_the_script_it_is_carried_in(tmp_path: Path) -> None:
    (tmp_path / "console.js").write_text("")
    page = console_page(EXAMPLES, tmp_path)
    assert page.count("</script>") == 2

    read = fromstring(page)
    initial, bundle = read.iter("script")
    assert [Example(**example) for example in json.loads(initial.text or "")["examples"]] == EXAMPLES
    assert (initial.get("type"), bundle.text) == ("application/json", None)
    assert read.xpath("//@*[starts-with(name(), 'on')]") == []


def test_examples_come_by_name_with_the_federated_one_first(tmp_path: Path) -> None:
    (tmp_path / "appeals.graphql").write_text("query Appeals { a }\n# 不在首行\n", "utf-8")
    (tmp_path / "federated.graphql").write_text("# 一次查询，六个系统\n# 第二行\nquery F { f }\n", "utf-8")
    (tmp_path / "zones.graphql").write_text("query Zones { z }\n", "utf-8")
    (tmp_path / "zones.variables.json").write_text('{"zone": "厦门"}', "utf-8")
    assert read_examples(tmp_path) == [
        Example("federated", "一次查询，六个系统", "# 一次查询，六个系统\n# 第二行\nquery F { f }\n"),
        Example("appeals", "不在首行", "query Appeals { a }\n# 不在首行\n"),
        Example("zones", "zones", "query Zones { z }\n", '{"zone": "厦门"}'),
    ]


def screenshot(name: str) -> Path:
    folder = ROOT / "build/screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name
