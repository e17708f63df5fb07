"""What the endpoint itself costs a POST: CPU time, in process, without sockets.

`floor`: a bare ASGI application that reads the body and sends as many bytes. `ours`: our application asked `{ __typename }`.
`engine`: the engine alone, asked the same. What the endpoint costs is ours - engine - floor. CPU time, so that other work of the
machine does not count.
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from contract_tests.federation import federation
from gateway.app import create_app
from gateway.context import Deadline, RequestContext
from gateway.definitions import prove
from gateway.log import configure_logging
from gateway.web.response import to_bytes

BODY = b'{"query":"{ __typename }"}'
ANSWER = b'{"data":{"__typename":"Query"}}'
HEADERS = [
    (b"host", b"127.0.0.1:8080"),
    (b"accept", b"application/graphql-response+json, application/json;q=0.9"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"connection", b"keep-alive"),
    (b"user-agent", b"benchmark/1.0"),
    (b"content-type", b"application/json"),
    (b"content-length", str(len(BODY)).encode()),
]


def main() -> None:
    """Measure and print."""
    rounds, each = (5, 200) if os.environ.get("QUICK") else (15, 1000)  # noqa: TID251 - a benchmark's own switch
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w", encoding="utf-8") as log:
        configure_logging(log)
        with federation(Path(folder)) as sources:
            figures = asyncio.run(_measure(dict(sources.settings.secrets), rounds, each))
    figures["endpoint"] = figures["ours"] - figures["engine"] - figures["floor"]
    print("endpoint: microseconds of CPU time a request, least of the rounds")
    for name, microseconds in figures.items():
        print(f"  {name:<10} {microseconds:8.1f}")
    print(json.dumps({name: round(value, 1) for name, value in figures.items()}))


async def _measure(environment: dict[str, str], rounds: int, each: int) -> dict[str, float]:
    app = create_app(*prove(environment))
    figures: dict[str, float] = {}
    async with app.routed.router.lifespan_context(app.routed):
        engine = app.running[0].engine

        async def execute() -> None:
            result = await engine.execute("{ __typename }", None, None, RequestContext(Deadline.after(15)))
            to_bytes(result.body())

        runs: dict[str, Callable[[], Awaitable[object]]] = {
            "floor": lambda: _ask(_floor),
            "engine": execute,
            "ours": lambda: _ask(app),
        }
        for _ in range(rounds):
            for name, run in runs.items():
                started = time.process_time()
                for _ in range(each):
                    await run()
                took = (time.process_time() - started) / each * 1e6
                figures[name] = min(figures.get(name, took), took)
    return figures


async def _ask(app: Any) -> None:
    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": HEADERS}
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await asyncio.create_task(app(scope, receive, send))
    assert sent[0]["status"] == 200


async def _floor(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    body = (await receive())["body"]
    assert json.loads(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    main()
