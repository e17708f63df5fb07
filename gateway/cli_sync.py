"""Commands of data return 数据回流: run streams, work as one of many, look at what was refused and take it again."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.definitions import Definitions
    from gateway.settings import Settings
    from gateway.store.store import Store


def add_sync_commands(commands: Any) -> None:
    """`sync`, `worker` and `quarantine`."""
    text = "数据回流：把一个来源的变更取到底"
    sync = commands.add_parser("sync", help=text, description=text)
    sync.add_argument("source")
    sync.add_argument("--operation", help="只运行这一个 changes 操作")
    sync.add_argument(
        "--from", dest="start", metavar="VALUE", help="从这个游标值起；beginning：从头。须与 --operation 同写"
    )
    sync.add_argument("--resume", action="store_true", help="解除停下的数据流，这一次不因坏记录多而停下")
    sync.add_argument("--refresh", action="store_true", help="全部重取到影子代，取完一次换入，其间照常增量")
    sync.add_argument("--reconcile", action="store_true", help="与来源逐条核对，不同处自行修复")
    sync.add_argument("--allow-deletions", action="store_true", help="核对、重取时即使删除超过上限也照做")
    sync.set_defaults(command=_sync)

    text = "运行到期的数据流，直到被停止；可同时有任意多个"
    worker = commands.add_parser("worker", help=text, description=text)
    worker.add_argument("--once", action="store_true", help="把现在到期的都运行一遍就结束")
    worker.set_defaults(command=_worker)

    text = "隔离的记录：列出、查看、修好映射后重放"
    quarantine = commands.add_parser("quarantine", help=text, description=text)
    actions = quarantine.add_subparsers(required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="列出还在隔离中的记录，和待补的码表")
    listed.add_argument("--source")
    listed.add_argument("--limit", type=int, default=100)
    listed.set_defaults(command=_list)
    show = actions.add_parser("show", help="一条记录的原文、规则及版本、步骤和原因")
    show.add_argument("digest", help="记录摘要，或其开头几位")
    show.set_defaults(command=_show)
    replay = actions.add_parser("replay", help="按现在的映射重放一个来源隔离的记录")
    replay.add_argument("source")
    replay.add_argument("--operation")
    replay.set_defaults(command=_replay)


def _sync(arguments: argparse.Namespace) -> int:
    from gateway.definitions import prove
    from gateway.log import configure_logging
    from gateway.returning import Wanted, return_data

    configure_logging()
    wanted = Wanted(
        arguments.operation,
        arguments.start,
        arguments.resume,
        arguments.refresh,
        arguments.reconcile,
        arguments.allow_deletions,
    )
    settings, definitions = prove()
    if (mapping := definitions.mappings.get(arguments.source)) and mapping.connect.kind == "file":
        from gateway.delivering import deliver_dropped

        return 0 if deliver_dropped(settings, definitions, arguments.source, None, print) else 1
    shows_progress = sys.stderr.isatty()
    return 0 if return_data(settings, definitions, arguments.source, wanted, print, shows_progress) else 1


def _worker(arguments: argparse.Namespace) -> int:
    from gateway.definitions import prove
    from gateway.log import configure_logging
    from gateway.returning import work

    configure_logging()
    return work(*prove(), arguments.once, print)


def _list(arguments: argparse.Namespace) -> int:
    from gateway.store.quarantine import open_tasks
    from gateway.store.return_reading import list_quarantine

    where = {"source": arguments.source} if arguments.source else {}
    with _opened() as (_, _definitions, store):
        found = store.database.read(lambda c: list_quarantine(c, store.tables, where, True, arguments.limit, None))
        tasks = store.database.read(lambda c: open_tasks(c, store.tables, arguments.source))
    for row in found.items:
        print(
            f"{row.record_digest[:12]} {row.source}.{row.operation} {row.entity} {row.step} {row.rule or ''} {row.reason}"
        )
    for task in tasks:
        codes = "、".join(f"{code}（{count} 次）" for code, count in sorted(task.seen.items()))
        print(f"待补码表 {task.source}.{task.codes}（{task.element}）：{codes}")
    print(f"隔离 {found.total} 条，待补码表 {len(tasks)} 个")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from gateway.store.quarantine import matching

    with _opened() as (_, _definitions, store):
        rows = store.database.read(lambda c: matching(c, store.tables, arguments.digest))
    for row in rows:
        told = {name: value for name, value in row._mapping.items() if value is not None}
        print(json.dumps(told, ensure_ascii=False, indent=2, default=str))
    if not rows:
        print(f"没有摘要以 {arguments.digest} 开头的记录", file=sys.stderr)
    return 0 if rows else 1


def _replay(arguments: argparse.Namespace) -> int:
    from gateway.returning import source_named
    from gateway.store.identity import make_hash_id
    from gateway.store.leases import StreamBusy
    from gateway.sync.replay import replay

    with _opened() as (settings, definitions, store):
        mapping = source_named(definitions, arguments.source, "gateway quarantine replay")
        try:
            print(replay(store, mapping, make_hash_id(str(settings.party_key_secret)), arguments.operation))
        except StreamBusy as error:
            print(error, file=sys.stderr)
            return 1
    return 0


@contextmanager
def _opened() -> "Iterator[tuple[Settings, Definitions, Store]]":
    from gateway.definitions import prove
    from gateway.store.store import Store

    settings, definitions = prove(None, with_secrets=False)
    store = Store(settings.database_url, definitions.registry, truth=definitions.truth)
    try:
        store.create()
        yield settings, definitions, store
    finally:
        store.close()
