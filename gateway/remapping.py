"""History mapped anew from the command line, source by source: `gateway remap`."""

import asyncio
from collections.abc import Callable, Iterable

from sqlalchemy.exc import SQLAlchemyError

from adapters.open import open_source
from gateway.definitions import Definitions
from gateway.settings import Settings
from gateway.store.faults import store_fault
from gateway.store.identity import make_hash_id
from gateway.store.store import Store
from gateway.sync.remap import CannotReread, remap
from schema.problems import Problem, Problems, did_you_mean


def remap_sources(
    settings: Settings, definitions: Definitions, source: str | None, entity: str | None, report: Callable[[str], None]
) -> bool:
    """Map again what arrived from one source, or from each; whether all could be. A source that cannot be stays as it was.

    Raises Problems for unknown names.
    """
    _check("来源", source, definitions.mappings)
    _check("实体", entity, definitions.registry.entities)
    names = [source] if source else list(definitions.mappings)
    store = Store(settings.database_url, definitions.registry, truth=definitions.truth)
    succeeded = True
    try:
        store.create()
        for name in names:
            mapping = definitions.mappings[name]
            if entity is not None and entity not in mapping.entities:
                continue
            opened = open_source(mapping, settings.secrets)
            try:
                done = remap(opened, mapping, store, make_hash_id(str(settings.party_key_secret)), entity)
                report(f"{name}：{done}")
            except CannotReread as error:
                report(f"{name}：{error}；存储未改动")
                succeeded = False
            except SQLAlchemyError as error:
                report(f"{name}：失败，{store_fault(error)}；存储未改动")
                succeeded = False
            finally:
                asyncio.run(opened.aclose())
    finally:
        store.close()
    return succeeded


def _check(what: str, name: str | None, known: Iterable[str]) -> None:
    names = list(known)
    if name is not None and name not in names:
        raise Problems([Problem("gateway remap", 1, 1, name, f"没有这个{what}", did_you_mean(name, names))])
