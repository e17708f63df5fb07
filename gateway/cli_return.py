"""The commands that tell of data return: `gateway streams`, `gateway lineage`."""

import argparse
import sys
from typing import Any


def add_return_commands(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add them to the parser."""
    text = "每条数据流新到什么时候、有没有停下、隔离了多少"
    streams = commands.add_parser("streams", help=text, description=text)
    streams.set_defaults(command=_streams)

    text = "血缘：一个值从哪个来源的哪份原文、哪条记录、按映射的哪一行得来"
    lineage = commands.add_parser("lineage", help=text, description=text)
    lineage.set_defaults(command=_lineage)
    lineage.add_argument("entity", help="实体名，如 EnforcementCase")
    lineage.add_argument("id", help="全局标识（GraphQL 的 id），或实体的键")
    lineage.add_argument("field", help="GraphQL 字段名或标识名")


def _streams(_arguments: argparse.Namespace) -> int:
    from gateway.definitions import prove
    from gateway.engine.data_return import streams
    from gateway.store.store import Store
    from schema.formats import print_datetime

    settings, definitions = prove()
    store = Store(settings.database_url, definitions.registry, truth=definitions.truth)
    try:
        store.create()
        for stream in streams(store, definitions.mappings):
            fresh = stream["fresh_at"]
            told = f"新到 {print_datetime(fresh)}（{stream['lag']} 秒前）" if fresh else "还没有运行到末尾"
            told += f"，隔离 {stream['in_quarantine']} 条" if stream["in_quarantine"] else ""
            told += f"，已停下：{stream['halt_reason']}" if stream["halt_reason"] else ""
            told += f"，连续失败 {stream['failures']} 次" if stream["failures"] else ""
            print(
                f"{stream['source']}.{stream['operation']}（{stream['kind']}，{stream['entity'] or '映射已无'}）：{told}"
            )
    finally:
        store.close()
    return 0


def _lineage(arguments: argparse.Namespace) -> int:
    from gateway.definitions import prove
    from gateway.engine.arguments import read_global_id
    from gateway.engine.lineage import lineage
    from gateway.store.identity import make_hash_id
    from gateway.store.store import Store
    from schema.names import element_names

    settings, definitions = prove()
    entity = definitions.registry.entities.get(arguments.entity)
    element = None
    if entity is not None:
        element = entity.elements.get(element_names(entity).get(arguments.field, arguments.field))
    if entity is None or element is None:
        print(f"没有 {arguments.entity}.{arguments.field}", file=sys.stderr)
        return 1
    reference = read_global_id(definitions.registry, arguments.id)
    key = reference.key if reference.entity == entity.name and reference.key else arguments.id
    store = Store(settings.database_url, definitions.registry, truth=definitions.truth)
    try:
        store.create()
        hash_id = make_hash_id(str(settings.party_key_secret))
        told = lineage(store, definitions.mappings, definitions.truth, hash_id, entity, key, element)
    finally:
        store.close()
    for one in told:
        print("\n".join(_lines(one)))
    if not told:
        print("没有来源讲过这个实体", file=sys.stderr)
    return 0 if told else 1


def _lines(one: dict[str, Any]) -> list[str]:
    from schema.formats import print_datetime

    masked = "（敏感，不显示）" if one["is_masked"] else "（无）"
    lines = [
        f"{one['source']} {one['source_title'] or ''}{'（显示的就是它）' if one['is_shown'] else ''}",
        f"  值      {one['value'] or masked}",
        f"  原文    {one['raw_text'] or masked}",
        f"  位置    {one['record_path'] or '?'} {one['field_path'] or ''}",
        f"  规则    {one['rule'] or '?'}（mapping.yaml 第 {one['mapping_line'] or '?'} 行，版本 {one['mapping_version']}）",
        f"  收到    {print_datetime(one['received_at'])}，操作 {one['operation'] or '?'}，运行 {one['run'] or '实时查询'}",
        f"  原件    sha-256:{one['raw_digest']}，{one['raw_bytes'] or '?'} 字节，{one['media_type'] or '?'}",
    ]
    lines += [f"  问题    {issue['reason']}" for issue in one["issues"]]
    return lines + ([f"  注意    {one['note']}"] if one["note"] else [])
