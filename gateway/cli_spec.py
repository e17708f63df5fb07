"""The commands `gateway spec …`: check a specification, compare two, hand it out and take it back."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FORMATS = ("xlsx", "json-schema", "odcs")


def add_spec_commands(commands: Any) -> None:
    """Add `spec` with its own commands to those of `gateway`."""
    text = "数据元规范：检查、比较、导出、导入"
    parts = commands.add_parser("spec", help=text, description=text).add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = parts.add_parser(name, help=text, description=text)
        added.set_defaults(command=command)
        return added

    check = add("check", _check, "检查一个规范文件夹，一次列出全部问题")
    check.add_argument("folder", nargs="?", type=Path, help="规范文件夹，缺省为本网关的")

    diff = add("diff", _diff, "比较两个规范：新增、变化、破坏性变化，以及各破坏性变化涉及的映射和查询")
    diff.epilog = "返回值：0 没有破坏性变化；1 有；2 规范或修订版无法读取"
    diff.add_argument("old", help="规范文件夹，或 git:修订版（如 git:HEAD~1）")
    diff.add_argument("new", nargs="?", help="同上，缺省为本网关的规范")
    diff.add_argument("--json", action="store_true", help="以 JSON 输出")
    diff.add_argument("--mappings", type=Path, help="映射文件夹，缺省为本网关的")
    diff.add_argument(
        "--documents", type=Path, action="append", default=[], help="记录的查询（*.graphql 文件或文件夹），可多次"
    )

    export = add("export", _export, "导出数据字典：XLSX（可改可读回）、JSON Schema（每实体一份）、ODCS 数据契约")
    export.add_argument("--format", choices=FORMATS, required=True)
    export.add_argument("--out", type=Path, required=True, help="文件；json-schema 为文件夹")
    export.add_argument("--spec", type=Path, help="规范文件夹，缺省为本网关的")

    taken = add(
        "import", _import, "由 XLSX 读回规范；不能采用的每一格都列出，此时什么也不写（YAML 注释不在 XLSX 中，不会保留）"
    )
    taken.add_argument("file", type=Path)
    taken.add_argument("--out", type=Path, required=True, help="新的或空的文件夹")
    taken.add_argument("--partial", action="store_true", help="仍写出其余各行；不能采用的照样列出，返回 1")


def _check(arguments: argparse.Namespace) -> int:
    from schema.load import load_registry

    registry = load_registry(_folder(arguments.folder))
    entities = registry.entities.values()
    counts = f"{len(entities)} 个实体，{sum(len(entity.elements) for entity in entities)} 个数据元"
    counts += f"，{sum(len(entity.relations) for entity in entities)} 个关系，{len(registry.codes)} 个代码表"
    print(f"规范 {registry.version}：{counts}。没有问题")
    return 0


def _diff(arguments: argparse.Namespace) -> int:
    from adapters.mapping.load import MAPPINGS_FOLDER
    from gateway.specification.impact import impacts
    from gateway.specification.report import report_json, report_text
    from gateway.specification.revision import NoRevision, specification_at
    from schema.dictionary.diff import compare
    from schema.load import load_imperfect
    from schema.problems import Problems
    from schema.registry import SPEC_FOLDER

    try:
        with specification_at(arguments.old) as folder:
            old, imperfections = load_imperfect(folder)
        with specification_at(arguments.new or str(SPEC_FOLDER)) as folder:
            new, others = load_imperfect(folder)
    except (NoRevision, Problems) as error:
        print(error, file=sys.stderr)
        return 2
    for which, problems in (("旧", imperfections), ("新", others)):
        if problems:
            print(
                f"提示：{which}规范按现行规则有 {len(problems)} 个问题（gateway spec check），仍作比较", file=sys.stderr
            )
    mappings = arguments.mappings or MAPPINGS_FOLDER
    documents = [SPEC_FOLDER.parent / "examples", *arguments.documents]
    found, rest = impacts(compare(old, new), old, new, mappings, documents)
    tell = report_json if arguments.json else report_text
    print(tell(old.version, new.version, found, rest))
    return 1 if rest or any(impact.change.kind == "breaking" for impact in found) else 0


def _export(arguments: argparse.Namespace) -> int:
    from schema.dictionary.files import export
    from schema.load import load_registry

    try:
        for file in export(load_registry(_folder(arguments.spec)), arguments.format, arguments.out):
            print(file)
    except OSError as error:
        print(f"无法写入：{error}", file=sys.stderr)
        return 1
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from schema.dictionary.files import put_into
    from schema.dictionary.taking import take_workbook

    taken = take_workbook(arguments.file, arguments.partial)
    for refusal in taken.refusals:
        print(refusal, file=sys.stderr)
    if taken.refusals:
        print(f"{len(taken.refusals)} 处不能采用", file=sys.stderr)
    if taken.registry is None:
        print("什么也没有写", file=sys.stderr)
        return 1
    try:
        put_into(taken.registry, arguments.out)
    except OSError as error:
        print(f"无法写入：{error}", file=sys.stderr)
        return 1
    elements = sum(len(entity.elements) for entity in taken.registry.entities.values())
    print(f"{arguments.out}：{len(taken.registry.entities)} 个实体，{elements} 个数据元")
    return 1 if taken.refusals else 0


def _folder(given: Path | None) -> Path:
    from schema.registry import SPEC_FOLDER

    return given or SPEC_FOLDER
