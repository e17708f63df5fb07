"""The commands of deliveries: `gateway deliver`, `gateway receipts`, `gateway delivery-key`."""

import argparse
from pathlib import Path
from typing import Any


def add_deliver_commands(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add them to the parser."""
    text = "交付：把机关的文件（CSV、XLSX、JSON、NDJSON）收进来；不给文件时取投递文件夹里的"
    deliver = commands.add_parser("deliver", help=text, description=text)
    deliver.set_defaults(command=_deliver)
    deliver.add_argument("source")
    deliver.add_argument("files", nargs="*", type=Path, metavar="FILE")
    deliver.add_argument("--operation", help="属于哪个 deliver 操作；不写时按文件名")
    deliver.add_argument("--key", help="幂等键；不写时用文件的摘要，同一文件交两次没有变化")
    deliver.add_argument("--watch", type=float, metavar="SECONDS", help="守着投递文件夹，每隔这么多秒看一次")

    text = "交付的回执：最近的，或一份回执里有问题的每条记录"
    receipts = commands.add_parser("receipts", help=text, description=text)
    receipts.set_defaults(command=_receipts)
    receipts.add_argument("receipt", nargs="?")
    receipts.add_argument("--source")
    receipts.add_argument("--limit", type=int, default=20)

    text = "为一个来源生成交付密钥：密钥只显示这一次，另一行写进 GATEWAY_DELIVERY_KEYS 的文件"
    key = commands.add_parser("delivery-key", help=text, description=text)
    key.set_defaults(command=_delivery_key)
    key.add_argument("source")


def _deliver(arguments: argparse.Namespace) -> int:
    from gateway.definitions import prove
    from gateway.delivering import deliver_dropped, deliver_files

    settings, definitions = prove()
    if arguments.files:
        given = (arguments.source, arguments.files, arguments.operation, arguments.key)
        return 0 if deliver_files(settings, definitions, *given, print) else 1
    return 0 if deliver_dropped(settings, definitions, arguments.source, arguments.watch, print) else 1


def _receipts(arguments: argparse.Namespace) -> int:
    from gateway.definitions import prove
    from gateway.delivering import tell_receipts

    settings, definitions = prove()
    told = (arguments.receipt, arguments.source, arguments.limit)
    return 0 if tell_receipts(settings, definitions, *told, print) else 1


def _delivery_key(arguments: argparse.Namespace) -> int:
    from gateway.receiving.keys import make_key

    key, line = make_key(arguments.source)
    print(f"交给机关（只显示这一次）：{key}")
    print(f"写进密钥文件：{line}")
    return 0
