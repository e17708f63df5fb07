"""The command `gateway`: check what is written down, serve it, sync it, simulate it, explain a query."""

import argparse
import asyncio
import json
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.cli_deliver import add_deliver_commands
from gateway.cli_documents import add_documents
from gateway.cli_return import add_return_commands
from gateway.cli_spec import add_spec_commands
from gateway.cli_store import add_store_commands
from gateway.cli_sync import add_sync_commands
from schema.problems import Problems

MAPPINGS = Path(__file__).parents[1] / "mappings"
SCHEMA = Path(__file__).parents[1] / "schema"
Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for problems that were told, 2 for a wrong command line."""
    parsed = _parser().parse_args(arguments)
    command: Command = parsed.command
    try:
        return command(parsed)
    except Problems as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        print(f"{len(error.problems)} 个问题", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gateway", description="闽执法数据联邦网关")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=command)
        return added

    serve = add("serve", _serve, "启动网关")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8080)
    serve.add_argument("--workers", type=int, default=1, help="进程数；SIGHUP 逐个换新，不丢请求")
    serve.add_argument("--worker", default="", help=argparse.SUPPRESS)

    check = add("check", _check, "不启动，检查规范、映射和设置，一次列出全部问题")
    check.add_argument("--live", action="store_true", help="再去问各来源：表和 WSDL 是否还是映射所写，账号是否只读")
    check.add_argument("--no-secrets", action="store_true", help="不检查环境变量是否齐全")

    explained = add("explain", _explain, "打印查询计划：哪一步问谁、带什么键、分几批")
    explained.add_argument("query", help="GraphQL 查询文本，或 .graphql 文件")
    explained.add_argument("--variables", default="{}", help="JSON")

    simulate = add("simulate", _simulate, "按映射和样例模拟一个来源系统，说它真实的协议")
    simulate.add_argument("source")
    simulate.add_argument("--host", default="127.0.0.1")
    simulate.add_argument("--port", type=int, default=0)
    simulate.add_argument("--control-port", type=int, default=0, help="控制接口：注入故障、查看调用、替换样例")
    simulate.add_argument("--exit-with-parent", action="store_true", help="标准输入关闭时退出")

    simulate.add_argument("--mappings", type=Path, default=MAPPINGS, help="来源文件夹所在的文件夹")

    issues = add("issues", _issues, "列出已记录的数据质量问题")
    issues.add_argument("--source")
    issues.add_argument("--limit", type=int, default=100)

    sdl = add("sdl", _sdl, "打印统一 schema（SDL）")
    sdl.add_argument("--subgraph", action="store_true", help="带 Apollo Federation v2 指令，供组合")
    changes = add(
        "changes", _changes, "统一 schema 与上次记录相比改了什么；--record 重写 schema.graphql 并记入 CHANGES.md"
    )
    changes.add_argument("--record", metavar="说明", help="一句话说明改了什么")
    add("names", _names, "打印名称对照：草案与规范")
    add("mapping-schema", _mapping_schema, "打印映射语言的 JSON Schema")

    docs = add("docs", _docs, "由规范生成数据字典与 schema 参考（静态网页，可离线搜索）")
    docs.add_argument("--out", type=Path, default=Path("docs/site"))

    add_deliver_commands(commands)
    add_store_commands(commands)
    add_return_commands(commands)
    add_spec_commands(commands)
    add_documents(commands)
    add_sync_commands(commands)

    demo = add("demo", _demo, "六个模拟来源、一次数据回流、网关和查询页面，一条命令")
    demo.add_argument("--port", type=int, default=8080)
    return parser


def _serve(arguments: argparse.Namespace) -> int:
    from gateway.app import create_app, prove_store
    from gateway.definitions import prove
    from gateway.log import configure_logging

    configure_logging()
    settings, definitions = prove()
    if not arguments.worker:
        prove_store(settings, definitions)
    if arguments.workers > 1:
        from gateway.workers import serve_workers

        return serve_workers(settings, arguments.host, arguments.port, arguments.workers)
    from gateway.serving import serve

    sockets, control, observed = _handed(arguments.worker)
    serve(create_app(settings, definitions), arguments.host, arguments.port, sockets, control, observed)
    return 0


def _handed(numbers: str) -> tuple[list[socket.socket], socket.socket | None, socket.socket | None]:
    """What the parent of a worker hands it: the socket to listen on, the one to the parent, the one for metrics if any."""
    handed: list[socket.socket | None] = [socket.socket(fileno=int(number)) for number in numbers.split(",") if number]
    if not handed:
        return [], None, None
    listening, control, observed = [*handed, None][:3]
    return [listening] if listening else [], control, observed


def _check(arguments: argparse.Namespace) -> int:
    from adapters.live import live_differences
    from gateway.definitions import prove

    with_secrets = not arguments.no_secrets
    try:
        settings, definitions = prove(None if with_secrets else _without_secrets(), with_secrets)
        _ = definitions.schema  # that it can be made
    except Problems as error:
        if any(problem.what == "环境变量没有设置" for problem in error.problems):
            print("只检查规范和映射、不看环境变量：gateway check --no-secrets", file=sys.stderr)
        raise
    for mapping in definitions.mappings.values():
        for notice in mapping.notices:
            print(f"提示 {notice}")
    registry = definitions.registry
    elements = sum(len(entity.elements) for entity in registry.entities.values())
    counts = f"{len(registry.entities)} 个实体，{elements} 个数据元；{len(definitions.mappings)} 个来源"
    differences = asyncio.run(live_differences(definitions.mappings, settings.secrets)) if arguments.live else []
    for difference in differences:
        print(f"不符 {difference}")
    print(f"规范 {registry.version}：{counts}。{'没有问题' if not differences else f'{len(differences)} 处与来源不符'}")
    return 1 if differences else 0


def _explain(arguments: argparse.Namespace) -> int:
    from gateway.app import make_preparation
    from gateway.definitions import prove
    from gateway.engine.explain import explain
    from gateway.engine.preparation import Refused

    settings, definitions = prove(_without_secrets(), with_secrets=False)
    try:
        text = Path(arguments.query).read_text("utf-8") if arguments.query.endswith(".graphql") else arguments.query
        prepared = make_preparation(definitions, settings).prepare(text, json.loads(arguments.variables), None)
    except (Refused, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(explain(prepared.plan, definitions.registry, definitions.mappings))
    return 0


def _simulate(arguments: argparse.Namespace) -> int:
    from adapters.mapping.load import load_mapping
    from adapters.simulator.serve import address_variable, invent_secrets, serve_forever, start
    from schema.load import load_registry

    folder: Path = arguments.mappings / arguments.source
    mapping = load_mapping(load_registry(), folder, str(folder / "mapping.yaml"))
    if mapping.connect.kind == "file":
        print(f"{mapping.name} 的文件由机关交付，没有可模拟的系统；试交样例：gateway deliver", file=sys.stderr)
        return 1
    secrets = invent_secrets(mapping)
    try:
        simulator = start(mapping, secrets, arguments.port, arguments.control_port, arguments.host)
    except OSError as error:
        print(f"端口不能用：{error}", file=sys.stderr)
        return 1
    environment = {address_variable(mapping): simulator.url, **secrets}
    ready = json.dumps({"source": mapping.name, "control": simulator.control_url, "environment": environment})
    serve_forever([simulator], arguments.exit_with_parent, announce=lambda: print(ready, flush=True))
    return 0


def _issues(arguments: argparse.Namespace) -> int:
    from gateway.settings import read_settings
    from gateway.store.store import Store
    from schema.load import load_registry

    settings = read_settings()
    store = Store(settings.database_url, load_registry(settings.specification))
    try:
        store.create()
        for issue in store.issues(arguments.source, arguments.limit):
            print(issue)
    finally:
        store.close()
    return 0


def _sdl(arguments: argparse.Namespace) -> int:
    from schema.build import build_schema, print_schema, print_subgraph
    from schema.load import load_registry

    schema = build_schema(load_registry())
    print(print_subgraph(schema) if arguments.subgraph else print_schema(schema), end="")
    return 0


def _changes(arguments: argparse.Namespace) -> int:
    from datetime import date

    from schema.build import build_schema, print_schema
    from schema.changes import Unrecorded, describe_changes, last_recorded, record
    from schema.load import load_registry

    registry = load_registry()
    printed, folder = print_schema(build_schema(registry)), SCHEMA
    try:
        if arguments.record:
            lines = record(folder, printed, registry.version, arguments.record, date.today())
        else:
            lines = describe_changes(last_recorded(folder) or "type Query", printed)
    except Unrecorded as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(lines) or "没有变化")
    return 0


def _names(_arguments: argparse.Namespace) -> int:
    from schema.load import load_registry
    from schema.reference.names import names_table

    print(names_table(load_registry()), end="")
    return 0


def _mapping_schema(_arguments: argparse.Namespace) -> int:
    from adapters.mapping.json_schema import mapping_json_schema

    print(mapping_json_schema(), end="")
    return 0


def _docs(arguments: argparse.Namespace) -> int:
    from adapters.mapping.load import load_mappings
    from schema.load import load_registry
    from schema.reference import write_reference

    registry = load_registry()
    sources: dict[tuple[str, str], list[str]] = {}
    for mapping in load_mappings(registry, MAPPINGS).values():
        for entity, written in mapping.entities.items():
            for name in written.fields:
                sources.setdefault((entity, name), []).append(mapping.title)
    print(write_reference(registry, arguments.out, sources))
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from gateway.demo import demo

    return demo(arguments.port)


def _without_secrets() -> dict[str, str]:
    """The environment for commands that look at what is written down and open nothing."""
    from gateway.settings import folders_only

    return folders_only()


if __name__ == "__main__":
    sys.exit(main())
