"""The two feeds: a table of an exchange database, and an interface that answers pages of JSON from a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import psycopg

from contract_tests.benchmarks.return_parts.world import FIELDS, OPERATION, record, row

SIZE, KEPT = 5_000, 64
"""Records of the pages that the interface keeps ready, and how many these are; others are written when they are asked for."""


def fill_exchange(url: str, count: int) -> None:
    """Make the exchange's table anew, with `count` cases."""
    columns = ", ".join(f"{name} text" for name in (*FIELDS, OPERATION))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS t_case")
        connection.execute(f"CREATE TABLE t_case ({columns})".encode())
        with connection.cursor() as cursor, cursor.copy("COPY t_case FROM STDIN") as copy:
            for n in range(count):
                copy.write_row((*row(n), "i"))
        connection.execute("CREATE INDEX t_case_time ON t_case (cd_time, cd_id)")
        connection.execute("ANALYZE t_case")


@contextmanager
def paged_interface(count: int) -> Iterator[str]:
    """The address of the interface that tells of `count` cases."""
    command = [sys.executable, "-m", "contract_tests.benchmarks.return_parts.feeds", str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def write(number: int, size: int, count: int) -> bytes:
    """A page of JSON."""
    first = (number - 1) * size
    cases = [record(n) for n in range(first, min(count, first + size))]
    return json.dumps({"code": "0", "data": {"total": count, "list": cases}}, ensure_ascii=False).encode()


def serve(count: int) -> None:
    """Answer `GET /cases?page=1&size=5000` until terminated; the first pages are ready, so that whoever asks first does not
    wait for what others then find."""
    pages = {(number, SIZE): write(number, SIZE, count) for number in range(1, min(KEPT, -(-count // SIZE)) + 1)}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            number, size = int(query["page"][0]), int(query["size"][0])
            body = pages.get((number, size))
            if body is None:
                body = write(number, size, count)
            self.send_response(200)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
