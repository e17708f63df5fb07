"""The command `gateway documents`: register queries that clients may then run by identifier, and list them."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from schema.problems import Problem, Problems


def add_documents(commands: Any) -> None:
    """Add the command and its two actions to the command line."""
    text = "可信文档：登记前端的查询，之后可只按标识符执行"
    documents = commands.add_parser("documents", help=text, description=text)
    actions = documents.add_subparsers(required=True, metavar="ACTION")

    registered = actions.add_parser("register", help="检查并登记；有一个不合法就一个也不登记，重复登记不变")
    registered.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="FILE|DIR",
        help=".graphql 文件、其文件夹，或 GraphQL Code Generator、Apollo、Relay 的清单 JSON",
    )
    registered.set_defaults(command=_register)

    listed = actions.add_parser("list", help="列出已登记的文档")
    listed.set_defaults(command=_list)
    for action in (registered, listed):
        action.add_argument("--documents", type=Path, help="登记到哪个文件；默认 GATEWAY_TRUSTED_DOCUMENTS")


def _register(arguments: argparse.Namespace) -> int:
    from gateway.app import make_preparation
    from gateway.definitions import prove
    from gateway.settings import folders_only
    from gateway.web.registration import register

    settings, definitions = prove(folders_only(), with_secrets=False)
    store = _store(arguments.documents or settings.trusted_documents)
    done = register(arguments.paths, store, make_preparation(definitions, settings))
    print(f"{done.given} 个文档，新登记 {done.new} 个；{store} 共 {done.total} 个")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from gateway.settings import folders_only, look_at_settings
    from gateway.web.documents import read_documents

    settings, _ = look_at_settings(folders_only())
    store = _store(arguments.documents or settings.trusted_documents)
    try:
        documents = read_documents(store)
    except (OSError, ValueError) as error:
        print(f"{store} 读不了：{error}", file=sys.stderr)
        return 1
    for identifier, text in sorted(documents.items()):
        names = re.findall(r"^\s*(?:query|mutation|subscription)\s+(\w+)", text, re.MULTILINE)
        print(f"{identifier}  {len(text.encode()):>6} 字节  {', '.join(names) or '（无名）'}")
    print(f"共 {len(documents)} 个")
    return 0


def _store(named: Path | None) -> Path:
    if named is None:
        text = "请设置，或给出 --documents FILE"
        raise Problems([Problem("environment", 1, 1, "GATEWAY_TRUSTED_DOCUMENTS", text)])
    return named
