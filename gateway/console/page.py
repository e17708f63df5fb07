"""The page people meet at `/graphql`: GraphiQL with the examples as its tabs, from files of this process alone."""

import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Mount, Route

TITLE = "闽执法数据联邦网关"
ENDPOINT = "/graphql"
STATIC = "/console/static"

# Monaco writes style elements and its icons and fonts are data; everything else comes from this host or not at all.
POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self' data:; img-src 'self' data:; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, slots=True)
class Example:
    """A query worth showing: one tab of the page. `variables` is JSON as written, or empty."""

    name: str
    title: str
    query: str
    variables: str = ""


def console_page(examples: Sequence[Example], static: Path) -> str:
    """The HTML of the page: GraphiQL if its bundle lies in `static`, else how to do without it and how to get it."""
    bundle = static / "console.js"
    if not bundle.is_file():
        return _MISSING
    version = f"{bundle.stat().st_mtime_ns:x}"
    initial = {"title": TITLE, "endpoint": ENDPOINT, "examples": [asdict(example) for example in examples]}
    return _head(f'<link rel="stylesheet" href="{STATIC}/console.css?v={version}">') + (
        '<div id="console"><p>正在载入…</p></div>\n'
        f'<script type="application/json" id="initial">{_as_script_data(initial)}</script>\n'
        f'<script type="module" src="{STATIC}/console.js?v={version}"></script>\n'
        "</body>\n</html>\n"
    )


def static_routes(static: Path) -> Mount:
    """The files of the bundle at `/console/static`; 404 for any that is not there. They may be kept for ever, for the
    page asks for each by its version."""

    def file(request: Request) -> FileResponse:
        path = static / request.path_params["name"]
        if not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, headers={"cache-control": "public, max-age=31536000, immutable"})

    return Mount(STATIC, routes=[Route("/{name}", file)])


def read_examples(folder: Path) -> list[Example]:
    """The examples of a folder by name, `federated.graphql` first. The title is the first comment line, or the name if
    there is none; `NAME.variables.json` beside a query has its variables."""
    paths = sorted(folder.glob("*.graphql"), key=lambda path: (path.stem != "federated", path.stem))
    return [_read_example(path) for path in paths]


def _read_example(path: Path) -> Example:
    query = path.read_text("utf-8")
    comments = (line.strip("# \t") for line in query.splitlines() if line.startswith("#"))
    variables = path.with_suffix(".variables.json")
    return Example(
        name=path.stem,
        title=next(filter(None, comments), path.stem),
        query=query,
        variables=variables.read_text("utf-8") if variables.is_file() else "",
    )


def _as_script_data(value: object) -> str:
    """JSON that no HTML parser can take for the end of the script, whatever texts it carries."""
    return json.dumps(value, ensure_ascii=False).replace("<", r"\u003c")


def _head(more: str) -> str:
    return f"""<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{TITLE}</title>
{more}
</head>
<body>
"""


_MISSING = (
    _head("""<style>
body { max-width: 46rem; margin: 12vh auto; padding: 0 1.5rem; color: #24292f; line-height: 1.7;
  font-family: "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
pre { padding: 1rem; overflow-x: auto; background: #f2f4f7; border-radius: 6px; line-height: 1.5; }
code { font-family: ui-monospace, monospace; }
small { color: #57606a; }
</style>""")
    + f"""<h1>{TITLE}</h1>
<p>接口运行正常，向 <code>{ENDPOINT}</code> 发送 POST 请求即可查询（端口与本页相同），\
只是交互式查询页面（GraphiQL）尚未构建。</p>
<pre><code>curl http://127.0.0.1:8080{ENDPOINT} \\
  -H 'content-type: application/json' \\
  -d '{{"query": "{{ __schema {{ queryType {{ fields {{ name }} }} }} }}"}}'</code></pre>
<p>要得到该页面：请安装 Node.js 与 npm，在项目目录运行 <code>make setup</code>，然后刷新本页。</p>
<p lang="en"><small>The API works: see the curl line above, with the port you are reading this at. For the GraphiQL
page, install Node.js and npm, run <code>make setup</code>, then reload.</small></p>
</body>
</html>
"""
)
