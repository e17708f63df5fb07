"""A gateway served as it is in production, and bytes sent to it as no client library would."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from contract_tests.federation import Federation, proven
from gateway.app import Application, create_app
from gateway.serving import Server, allow_many_connections

NEWER = "application/graphql-response+json"
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back on the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        """The codes of its errors, each once."""
        return sorted({error["extensions"]["code"] for error in self.json.get("errors", [])})


@dataclass(frozen=True, slots=True)
class Served:
    """Where a gateway listens."""

    port: int

    @property
    def address(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        """A connection of one's own."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def send(self, *pieces: bytes) -> Reply:
        """Send these bytes on a new connection and read one reply."""
        with self.connect() as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
            except OSError:
                pass  # it was refused before it was over; what matters is what is there to read
            return read_reply(connection)

    def post(self, body: bytes | str | Mapping[str, Any], **headers: str) -> Reply:
        """A POST of JSON by a client that reads the newer media type, unless its headers say otherwise."""
        content = json.dumps(body).encode() if isinstance(body, Mapping) else body
        content = content.encode() if isinstance(content, str) else content
        named = {"content-type": "application/json", "accept": NEWER, "content-length": str(len(content))}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send(head("POST", "/graphql", named) + content)

    def ask(self, query: str, variables: Mapping[str, Any] | None = None, **headers: str) -> Reply:
        """The reply to a query."""
        return self.post({"query": query, "variables": variables}, **headers)

    def get(self, query_string: str, **headers: str) -> Reply:
        """A GET with this query component."""
        named = {"accept": NEWER} | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send(head("GET", f"/graphql?{query_string}", named))

    def is_answering(self) -> bool:
        """Whether it still does what it is for."""
        return self.ask("{ __typename }").json == {"data": {"__typename": "Query"}}


def head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """A request line and headers; no value at all leaves a header out."""
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in ({"host": "127.0.0.1"} | dict(headers)).items() if value]
    return "\r\n".join([*lines, "", ""]).encode()


def read_reply(connection: socket.socket) -> Reply:
    """One reply: its head, and the body it says it has."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError(f"closed after {got[:200]!r}")
        got += more
    first, _, body = got.partition(b"\r\n\r\n")
    line, *fields = first.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
    while len(body) < int(headers.get("content-length", "0")):
        if not (more := connection.recv(65536)):
            raise ConnectionError(f"closed in the middle of {first[:200]!r}")
        body += more
    found = re.match(r"HTTP/1\.1 (\d+)", line)
    assert found, line
    return Reply(int(found[1]), headers, body)


@contextmanager
def served(running: Federation, **changed: str) -> Iterator[Served]:
    """A gateway over these simulators with these settings, on a socket of this process."""
    with listening_with(create_app(*proven({**running.settings.secrets, **changed}))) as serving:
        yield serving


@contextmanager
def listening_with(app: Application) -> Iterator[Served]:
    """An application on a socket of this process."""
    allow_many_connections()
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    server = Server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)  # to look on without a pause would take half of the processor from it
    try:
        yield Served(listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
