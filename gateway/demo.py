"""`make demo`: every mapped source simulated in a process of its own, a first data return, and the gateway in front."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from adapters.mapping.load import load_mappings
from gateway.app import EXAMPLES, create_app
from gateway.definitions import prove
from gateway.log import configure_logging
from gateway.returning import return_everything
from gateway.serving import serve
from gateway.settings import PROJECT
from schema.load import load_registry
from schema.problems import Problem, Problems


@dataclass(frozen=True, slots=True)
class Child:
    """A simulator in its own process. It ends when its standard input does, so it cannot outlive us."""

    source: str
    process: subprocess.Popen[str]
    control: str
    environment: dict[str, str]

    @property
    def port(self) -> int:
        """Where it listens."""
        addresses = (urlsplit(value).port for value in self.environment.values() if "://" in value)
        return next(port for port in addresses if port)


def demo(port: int) -> int:
    """Run the demo until Ctrl-C; returns the exit status."""
    if not _is_free(port):
        print(f"端口 {port} 已被占用；换一个：make demo PORT=8081", file=sys.stderr)
        return 1
    folder = PROJECT / "var" / f"demo-{port}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log_file = folder / "gateway.log"
    with log_file.open("w", encoding="utf-8") as log, simulators() as children:
        configure_logging(log)
        environment = {
            "GATEWAY_DATABASE_URL": f"sqlite:///{folder / 'gateway.db'}",
            "GATEWAY_PARTY_KEY_SECRET": "demo-only",
            "GATEWAY_ALLOW_EXPLAIN": "true",
            "GATEWAY_INTROSPECTION": "true",
            "GATEWAY_CACHE_ENTRIES": "0",  # so that a source that is stopped or started is seen at once
        }
        for child in children:
            environment |= child.environment
        settings, definitions = prove(environment)
        print("数据回流（首次）：", flush=True)
        return_everything(settings, definitions, lambda line: print(f"  {line}", flush=True))
        app = create_app(settings, definitions)
        print(_welcome(port, children, log_file), flush=True)
        serve(app, "127.0.0.1", port)
    return 0


@contextmanager
def simulators() -> Iterator[list[Child]]:
    """A process for each source; all have ended when this has."""
    mappings = load_mappings(load_registry(), PROJECT / "mappings")
    names = [name for name, mapping in mappings.items() if mapping.connect.kind != "file"]
    started = [(name, _start(name)) for name in names]
    try:
        yield [_ready(name, process) for name, process in started]
    finally:
        for _, process in started:
            if process.stdin:
                process.stdin.close()
        for _, process in started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()


def _start(source: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gateway.cli", "simulate", source, "--exit-with-parent"]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT, start_new_session=True
    )


def _ready(source: str, process: subprocess.Popen[str]) -> Child:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise Problems([Problem("demo", 1, 1, source, f"模拟来源没有启动（退出码 {process.wait()}），原因见上")])
    told = json.loads(line)
    return Child(source, process, told["control"], told["environment"])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _welcome(port: int, children: Sequence[Child], log: Path) -> str:
    gateway = Path(sys.executable).parent / "gateway"
    command = gateway.relative_to(Path.cwd()) if gateway.is_relative_to(Path.cwd()) else gateway
    address = f"http://127.0.0.1:{port}/graphql"
    query = EXAMPLES.relative_to(PROJECT) / "federated.graphql"
    rows = [
        f"  {child.source:<20} 端口 {child.port:<6} 停止 kill {child.process.pid:<8}"
        f" 再启动 {command} simulate {child.source} --port {child.port} &"
        for child in children
    ]
    return "\n".join(
        [
            "",
            f"网关已启动：{address}   （浏览器打开即是查询页面；Ctrl-C 结束，不留进程）",
            "",
            "一次查询，六个系统：",
            f"  curl -sG {address} --data-urlencode query@{query}",
            "",
            "看查询计划（哪一步问谁、带什么键）：",
            f"  {command} explain {query}",
            "",
            "停掉一个来源再查一次：其余照答，缺的部分以本地副本代答（mode: STALE）或给出带 path 的错误；再启动即恢复：",
            *rows,
            "",
            f"日志：{log}",
        ]
    )
