"""The commands `gateway spec …`: check a specification, compare two, hand it out and take it back."""

import argparse
from pathlib import Path
from typing import Any


def add_spec_commands(commands: Any) -> None:
    """Add `spec` with its own commands to those of `gateway`."""
    text = "数据元规范：检查、比较、导出、导入"
    spec = commands.add_parser("spec", help=text, description=text)
    parts = spec.add_subparsers(required=True, metavar="COMMAND")

    text = "检查一个规范文件夹，一次列出全部问题"
    check = parts.add_parser("check", help=text, description=text)
    check.add_argument("folder", nargs="?", type=Path, help="规范文件夹，缺省为本网关的")
    check.set_defaults(command=_check)


def _check(arguments: argparse.Namespace) -> int:
    from schema.load import load_registry
    from schema.registry import SPEC_FOLDER

    registry = load_registry(arguments.folder or SPEC_FOLDER)
    entities = registry.entities.values()
    counts = f"{len(entities)} 个实体，{sum(len(entity.elements) for entity in entities)} 个数据元"
    counts += f"，{sum(len(entity.relations) for entity in entities)} 个关系，{len(registry.codes)} 个代码表"
    print(f"规范 {registry.version}：{counts}。没有问题")
    return 0
