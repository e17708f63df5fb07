"""Real servers for tests: found among the installed programs, else installed where that is possible, else a clear failure."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

STARTING = 60.0
STOPPING = 30.0
UNPRIVILEGED = ("postgres", "nobody")
QUICK = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "unix_socket_directories=",
    "max_connections=200",
)
INSTALL = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends")


class PostgresServer:
    """A PostgreSQL on a port of its own, which a test may stop and start again. `url`: SQLAlchemy's, of a superuser."""

    def __init__(self, folder: Path) -> None:
        self._programs, self._log = find_postgres(), folder / "log"
        self._data, self._password = _make_cluster(self._programs, folder)
        self._process, self._port = _start(self._programs, self._data, self._log, self._password)
        self.url = f"postgresql+psycopg://tester:{self._password}@127.0.0.1:{self._port}/postgres"

    def stop(self) -> None:
        """Cut every connection, and end it; may be called when it has ended already."""
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(STOPPING)

    def start(self) -> None:
        """Start it where it was."""
        self._process, _ = _start(self._programs, self._data, self._log, self._password, self._port)


@contextmanager
def postgres_server() -> Iterator[str]:
    """A new, empty PostgreSQL; its SQLAlchemy URL, of a superuser with a password."""
    with own_postgres() as server:
        yield server.url


@contextmanager
def own_postgres() -> Iterator[PostgresServer]:
    """The same, to be stopped and started."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        server = PostgresServer(folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_postgres() -> Path:
    """The folder of PostgreSQL's programs; installs Debian's package when root. Raises RuntimeError when there is none."""
    if found := _installed():
        return found
    if _install("postgresql") and (found := _installed()):
        return found
    raise RuntimeError(
        "these tests need PostgreSQL: install it (Debian: apt-get install postgresql), no server was found"
    )


class RedisServer:
    """A Redis without persistence on a port of its own, which a test may kill, stop, wake and start again."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        command = [find_redis(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir())
        until = time.monotonic() + STARTING
        while time.monotonic() < until and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(7) == b"+PONG\r\n":
                    return
            time.sleep(0.02)
        raise RuntimeError("Redis did not start")

    def signal(self, number: int) -> None:
        """SIGSTOP: it accepts connections and never answers. SIGCONT: it goes on."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as `kill -9` does; may be called when it has ended already."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOPPING)
            self._process = None


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A new, empty Redis; another port is tried when somebody else was quicker to take the first."""
    server = RedisServer()
    try:
        for _ in range(3):
            with suppress(RuntimeError):
                server.start()
                break
            server.kill()
            server = RedisServer()
        else:
            server.start()
        yield server
    finally:
        server.kill()


def find_redis() -> str:
    """The program; installs Debian's package when root. Raises RuntimeError when there is none."""
    if found := shutil.which("redis-server") or (_install("redis-server") and shutil.which("redis-server")):
        return found
    raise RuntimeError("these tests need Redis: install it (Debian: apt-get install redis-server), no server was found")


def find_curl() -> str:
    """The program that examples for agencies are written for; installs Debian's package when root. Raises RuntimeError."""
    if found := shutil.which("curl") or (_install("curl") and shutil.which("curl")):
        return found
    raise RuntimeError("these tests need curl: install it (Debian: apt-get install curl)")


def _install(package: str) -> bool:
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return False
    for command in (("apt-get", "update", "-qq"), (*INSTALL, package)):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return True


def _installed() -> Path | None:
    """The newest version in the places where distributions put it, or the one on PATH."""
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    newest = sorted(folders, key=lambda folder: _version(folder.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    candidates = [*newest, *([Path(on_path).resolve().parent] if on_path else [])]
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


def _version(name: str) -> float:
    try:
        return float(name.removeprefix("pgsql-"))
    except ValueError:
        return 0.0


def _make_cluster(programs: Path, folder: Path) -> tuple[Path, str]:
    password, data, words = secrets.token_hex(16), folder / "data", folder / "password"
    words.write_text(password)
    folder.chmod(0o755)
    if os.geteuid() == 0:
        for path in (folder, words):
            os.chown(path, *unprivileged())
    options = [
        "--username=tester",
        f"--pwfile={words}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ]
    made = _run([programs / "initdb", f"--pgdata={data}", *options], folder)
    if made.returncode != 0:
        raise RuntimeError(f"initdb failed:\n{made.stdout}")
    return data, password


def _start(
    programs: Path, data: Path, log: Path, password: str, on_port: int | None = None
) -> tuple[subprocess.Popen[str], int]:
    """The server and its port; another port is tried when somebody else was quicker to take the first."""
    for _ in range(3):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = on_port or int(probe.getsockname()[1])
        settings = ["listen_addresses=127.0.0.1", f"port={port}", *QUICK]
        command: list[str | Path] = [
            programs / "postgres",
            "-D",
            data,
            *(word for setting in settings for word in ("-c", setting)),
        ]
        with log.open("wb") as output:
            server = subprocess.Popen(
                command, cwd=data.parent, stdout=output, stderr=subprocess.STDOUT, **_as_somebody()
            )
        if _is_answering(server, port, password):
            return server, port
        server.kill()
        server.wait(STOPPING)
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _is_answering(server: subprocess.Popen[str], port: int, password: str) -> bool:
    until = time.monotonic() + STARTING
    while time.monotonic() < until and server.poll() is None:
        try:
            with psycopg.connect(host="127.0.0.1", port=port, user="tester", password=password, dbname="postgres"):
                return True
        except psycopg.OperationalError:
            time.sleep(0.05)
    return False


def _run(command: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **_as_somebody()
    )


def _as_somebody() -> dict[str, Any]:
    """PostgreSQL refuses to run as root; so root runs it as somebody who may do nothing."""
    if os.geteuid() != 0:
        return {}
    user, group = unprivileged()
    return {"user": user, "group": group, "extra_groups": []}


def unprivileged() -> tuple[int, int]:
    """The user and group whom root runs PostgreSQL as."""
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise RuntimeError(f"no user to run PostgreSQL as; looked for {', '.join(UNPRIVILEGED)}")
