"""Deliveries from the command line: files handed in one by one, or whatever is in the drop folder; and their receipts."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from adapters.mapping.compiled import Compiler
from adapters.mapping.model import SourceMapping
from gateway.definitions import Definitions
from gateway.receiving.drop import deliver_file, take_drop
from gateway.receiving.printed import receipt_as_text, record_as_text
from gateway.receiving.receive import BadKey, KeyReused, Receiver
from gateway.settings import Settings
from gateway.store.identity import make_hash_id
from gateway.store.runs import StreamHalted
from gateway.store.store import Store
from schema.problems import Problem, Problems, did_you_mean

Report = Callable[[str], None]
MOST_TOLD = 20
"""Records with something wrong that are told on the spot; all of them are in the receipt."""


@contextmanager
def opened_receiver(settings: Settings, definitions: Definitions) -> Iterator[Receiver]:
    """The door, over the store of the settings."""
    store = Store(settings.database_url, definitions.registry, truth=definitions.truth)
    try:
        store.create()
        yield Receiver(store, Compiler(make_hash_id(str(settings.party_key_secret))))
    finally:
        store.close()


def deliver_files(
    settings: Settings,
    definitions: Definitions,
    source: str,
    files: Sequence[Path],
    operation: str | None,
    key: str | None,
    report: Report,
) -> bool:
    """Take in files of a source; whether all of every one is in. Raises Problems for unknown names and files."""
    mapping = _known(definitions, source, operation)
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise Problems([Problem("gateway deliver", 1, 1, str(file), "没有这个文件") for file in missing])
    succeeded = True
    with opened_receiver(settings, definitions) as receiver:
        for file in files:
            try:
                taken = deliver_file(receiver, mapping, file, operation, key)
            except (KeyReused, BadKey, StreamHalted) as error:
                report(f"{file.name}：不收，{error}")
                succeeded = False
                continue
            report(taken.told)
            if taken.receipt is not None:
                for one in receiver.records(taken.receipt.id, 0, MOST_TOLD, only_noted=True):
                    report(f"  {record_as_text(one)}")
            succeeded &= taken.is_good
    return succeeded


def deliver_dropped(
    settings: Settings,
    definitions: Definitions,
    source: str,
    watch: float | None,
    report: Report,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Take in what is in the drop folder of a source, once, or again and again every so many seconds; whether all is good."""
    mapping = _known(definitions, source, None)
    if settings.drop_folder is None:
        raise Problems([Problem("environment", 1, 1, "GATEWAY_DROP_FOLDER", "没有设置投递文件夹，或请给出文件")])
    succeeded = True
    with opened_receiver(settings, definitions) as receiver:
        while True:
            try:
                for taken in take_drop(receiver, mapping, settings.drop_folder / source):
                    report(taken.told)
                    succeeded &= taken.is_good
            except (SQLAlchemyError, OSError, StreamHalted) as error:
                if watch is None:
                    raise
                report(f"{source}：失败（{type(error).__name__}），文件留在原处，稍后再试")
            if watch is None:
                return succeeded
            sleep(watch)


def tell_receipts(
    settings: Settings, definitions: Definitions, receipt: str | None, source: str | None, limit: int, report: Report
) -> bool:
    """The latest receipts, or one with what is wrong with its records."""
    with opened_receiver(settings, definitions) as receiver:
        if receipt is None:
            for one in receiver.latest(source, limit):
                report(f"{one.source}.{one.operation} {one.name or one.form}：{receipt_as_text(one)}")
            return True
        found = receiver.read(receipt)
        if found is None:
            report(f"没有回执 {receipt}")
            return False
        report(receipt_as_text(found))
        after = 0
        while records := receiver.records(receipt, after, 500, only_noted=True):
            for record in records:
                report(f"  {record_as_text(record)}")
            after = records[-1].number
        return True


def _known(definitions: Definitions, source: str, operation: str | None) -> SourceMapping:
    mapping = definitions.mappings.get(source)
    if mapping is None:
        told = did_you_mean(source, definitions.mappings)
        raise Problems([Problem("gateway deliver", 1, 1, source, "没有这个来源", told)])
    known = [name for name, found in mapping.operations.items() if found.deliver]
    if not known:
        raise Problems([Problem("gateway deliver", 1, 1, source, "这个来源没有 deliver 操作")])
    if operation is not None and operation not in known:
        told = did_you_mean(operation, known)
        raise Problems([Problem("gateway deliver", 1, 1, operation, "没有这个 deliver 操作", told)])
    return mapping
