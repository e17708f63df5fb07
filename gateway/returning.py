"""Data return 数据回流 from the command line: the `changes` operations of a source, run to their end."""

import asyncio
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from adapters.errors import SourceError
from adapters.mapping.model import SourceMapping
from adapters.mapping.record import HashId
from adapters.open import open_source
from adapters.source import Source
from gateway.app import Definitions, open_calls
from gateway.engine.calls.patient import PatientSource
from gateway.settings import Settings
from gateway.store.faults import store_fault
from gateway.store.identity import make_hash_id
from gateway.store.runs import RunSuperseded, StreamBusy, StreamHalted
from gateway.store.store import Store
from gateway.sync.cursor import CannotAdvance
from gateway.sync.run import PageReport, run_changes
from schema.problems import Problem, Problems, did_you_mean

Report = Callable[[str], None]


def return_everything(settings: Settings, definitions: Definitions, report: Report) -> None:
    """Run every `changes` operation of every source; a source that fails is told and does not stop the others."""
    asyncio.run(_return(settings, definitions, list(definitions.mappings.values()), None, report))


def return_data(
    settings: Settings, definitions: Definitions, source: str, operation: str | None, report: Report
) -> bool:
    """Run the `changes` operations of one source, or one of them; whether all succeeded. Raises Problems for unknown names."""
    mapping = definitions.mappings.get(source)
    if mapping is None:
        raise Problems(
            [Problem("gateway sync", 1, 1, source, "没有这个来源", did_you_mean(source, definitions.mappings))]
        )
    known = [name for name, found in mapping.operations.items() if found.changes]
    if operation is not None and operation not in known:
        raise Problems(
            [Problem("gateway sync", 1, 1, operation, "没有这个 changes 操作", did_you_mean(operation, known))]
        )
    return asyncio.run(_return(settings, definitions, [mapping], operation, report))


async def _return(
    settings: Settings, definitions: Definitions, mappings: list[SourceMapping], only: str | None, report: Report
) -> bool:
    store = Store(settings.database_url, definitions.registry, truth=definitions.truth)
    hash_id = make_hash_id(str(settings.party_key_secret))
    succeeded = True
    try:
        store.create()
        for mapping in mappings:
            calls = open_calls(
                {mapping.name: open_source(mapping, settings.secrets)}, {mapping.name: mapping}, settings
            )
            source = PatientSource(calls, mapping.name)
            try:
                for name, operation in mapping.operations.items():
                    if operation.changes and only in (None, name):
                        succeeded &= await _run(source, mapping, name, store, hash_id, report)
            finally:
                await calls.aclose()
    finally:
        store.close()
    return succeeded


async def _run(
    source: Source, mapping: SourceMapping, operation: str, store: Store, hash_id: HashId, report: Report
) -> bool:
    name = f"{mapping.name}.{operation}"

    def page_done(page: PageReport) -> None:
        if page.note:
            report(f"{name} 第 {page.page} 页：{page.note}")

    try:
        result = await run_changes(source, mapping, operation, store, hash_id, page_done)
    except (SourceError, CannotAdvance, RunSuperseded, StreamBusy, StreamHalted) as error:
        told = error.public_message if isinstance(error, SourceError) else str(error)
        report(f"{name}：失败，{told}；下次从已提交处继续")
        return False
    except SQLAlchemyError as error:
        report(f"{name}：失败，{store_fault(error)}；下次从已提交处继续")
        return False
    report(f"{name}：{result}")
    return True
