"""The upstream systems: nginx over static files, on a free port, with a configuration that is thrown away.

A SOAP request is passed on to nginx itself once, because only then is its body read and the file known by the key in it.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contract_tests.benchmarks.engine_parts.processes import LOAD_CORE, free_port, pinned, stop
from contract_tests.benchmarks.engine_parts.world import write_world

STARTING = 10.0
CONFIGURATION = """
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    server_tokens off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 300s;
    keepalive_requests 100000000;
    open_file_cache max=2000 inactive=1h;
    open_file_cache_valid 1h;
    client_body_buffer_size 64k;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    types {{ application/json json; text/xml xml; }}
    charset utf-8;
    charset_types text/xml;

    map $request_body $holder {{ "~>(?<code>91[0-9A-Z]{{16}})<" $code; default none; }}
    map $arg_zfzh $variant {{ "~^35010(?<digits>[0-9]{{4}})" $digits; default none; }}
    upstream itself {{ server unix:{folder}/soap.sock; keepalive 64; keepalive_requests 100000000; }}

    server {{
        listen 127.0.0.1:{port} backlog=2048;
        root {folder}/world;
        location = /case {{ default_type application/json; try_files /case/$arg_ajbh.json =404; }}
        location = /agency {{ default_type application/json; try_files /agency/$arg_jgdm.json =404; }}
        location = /officers {{ default_type application/json; try_files /officers/$variant.json =404; }}
        location = /soap {{
            proxy_pass http://itself/;
            proxy_method GET;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Holder $holder;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Content-Type "";
            proxy_buffers 8 64k;
        }}
        location = /status {{ stub_status; }}
    }}
    server {{
        listen unix:{folder}/soap.sock;
        root {folder}/world;
        location / {{ default_type text/xml; try_files /soap/$http_x_holder.xml =404; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Where the upstream systems are."""

    port: int
    pid: int

    @property
    def rest(self) -> str:
        """The base address of the REST systems."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def soap(self) -> str:
        """The endpoint of the SOAP service."""
        return f"{self.rest}/soap"

    def calls(self) -> int:
        """How many requests nginx has handled, those for this figure left out."""
        global _asked
        with urllib.request.urlopen(f"{self.rest}/status") as answer:
            told = answer.read().decode()
        _asked += 1
        found = re.search(r"\n\s*\d+\s+\d+\s+(\d+)", told)
        assert found, told
        return int(found[1]) - _asked


_asked = 0


@contextmanager
def upstreams() -> Iterator[Upstreams]:
    """nginx over the world's files, beside the generator of load; gone with everything it wrote in the end."""
    nginx = program("nginx", "nginx-light")
    folder = Path(tempfile.mkdtemp(prefix="bench-nginx-"))
    try:
        write_world(folder / "world")
        port = free_port()
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(CONFIGURATION.format(folder=folder, port=port, user=user), "utf-8")
        command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
        with (folder / "out.log").open("w") as out:
            server = subprocess.Popen(pinned(LOAD_CORE, command), stdout=out, stderr=out)
        try:
            _wait(server, port, folder)
            yield Upstreams(port, server.pid)
        finally:
            stop(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def program(name: str, package: str) -> str:
    """The path of an installed program; Debian's package is installed when root. Raises SystemExit when there is none."""
    places = (*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin")
    search = os.pathsep.join(places)
    if found := shutil.which(name, path=search):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-qq", "-y"]
        for arguments in (["update"], ["install", "--no-install-recommends", package]):
            subprocess.run([*quiet, *arguments], stdout=subprocess.DEVNULL, check=False)
        if found := shutil.which(name, path=search):
            return found
    raise SystemExit(f"this benchmark needs {name}; install it (Debian: apt-get install {package}) and run it again")


def _wait(server: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
    until = time.monotonic() + STARTING
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/status"):
                global _asked
                _asked = 1
                return
        except OSError:
            if server.poll() is not None or time.monotonic() > until:
                logs: Sequence[Path] = [folder / "out.log", folder / "error.log"]
                told = "".join(log.read_text("utf-8", "replace") for log in logs if log.exists())
                raise SystemExit(f"nginx did not start:\n{told}") from None
            time.sleep(0.05)
