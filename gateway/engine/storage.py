"""The store as the engine sees it: its questions asked off the event loop, under one kind of failure."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from adapters.errors import SourceError
from adapters.mapping.model import LookupRole, SourceMapping
from adapters.mapping.truth import Truth
from gateway.log import logger
from gateway.store.groups import Grouped, Groups
from gateway.store.identity import CodesExhausted
from gateway.store.search import Found, Search
from gateway.store.store import Store, Stored
from gateway.store.whole_page import Shown, WholePage

MOST_RELATED = 1000
"""Entities of one relation of one entity that are answered from the store; more are refused, never cut off."""
IDENTITIES_KEPT = 50_000
THREADS: Mapping[str, int] = {"sqlite": 1}
MOST_THREADS = 4
"""Threads that ask the store. What SQLite does is work of this process, and more threads than one would only take the
interpreter from each other and from the event loop: four of them made every refusal under load ten times as late."""
Answer = TypeVar("Answer")


class StoreUnavailable(SourceError):
    """本地存储暂时无法访问"""

    retryable = True


class TooManyRelated(SourceError):
    """关联的记录过多，请改用列表查询"""


class Storage:
    """The store behind threads of its own, with allotted identities remembered, since they never change."""

    def __init__(self, store: Store) -> None:
        self.store = store
        most = THREADS.get(store.database.engine.dialect.name, MOST_THREADS)
        self.clocks: list[int] = []
        """Of the time that each of the threads has spent, for `time.clock_gettime`; none where the system has no such clocks."""
        self.threads = ThreadPoolExecutor(most, "store", initializer=self._keep_clock)
        self.identities: dict[tuple[str, str], str] = {}

    async def last_told(
        self, mapping: SourceMapping, operation: str, role: LookupRole, keys: Mapping[str, str]
    ) -> dict[str, list[Stored]]:
        """What the source last told of each key text (text -> key of the entity asked for or from); absent: nobody knows.

        That is its last answer to the same question; else its copy of the very entity; else, when its changes were
        followed to their end at least once, its entities that refer to the key, be they none.
        """
        try:
            return await self._ask(_last_told, self.store, mapping, operation, role, keys)
        except StoreUnavailable:
            return {}

    async def by_keys(self, entity: str, keys: Sequence[str]) -> list[Stored]:
        """Every source's copy of these entities. Raises StoreUnavailable."""
        return await self._ask(self.store.by_keys, entity, keys) if keys else []

    async def sources_of(self, entity: str, keys: Sequence[str]) -> dict[str, frozenset[str]]:
        """Which sources told of each key; absent: nobody. Raises StoreUnavailable."""
        return await self._ask(self.store.sources_of, entity, keys) if keys else {}

    async def related(self, entity: str, relation: str, targets: Sequence[str]) -> dict[str, list[str]]:
        """The keys of the entities that refer to each target, one more than MOST_RELATED when there are too many.

        Raises StoreUnavailable.
        """
        return await self._ask(self.store.related, entity, relation, targets, MOST_RELATED + 1) if targets else {}

    async def search(self, search: Search) -> Found:
        """A page of a list. Raises StoreUnavailable."""
        return await self._ask(self.store.search, search)

    async def whole_page(self, search: Search, shown: Shown, truth: Truth) -> WholePage:
        """A page of a list with what is shown of it. Raises StoreUnavailable."""
        return await self._ask(self.store.whole_page, search, shown, truth)

    async def count(self, grouped: Grouped) -> Groups:
        """Groups of entities. Raises StoreUnavailable."""
        return await self._ask(self.store.count, grouped)

    async def identify(self, entity: str, keys: Sequence[str]) -> dict[str, str]:
        """The value allotted to each key, allotting it now if it has none. Raises StoreUnavailable."""
        unknown = [key for key in keys if (entity, key) not in self.identities]
        if unknown:
            found = await self._ask(self.store.identify, entity, unknown)
            if len(self.identities) > IDENTITIES_KEPT:
                self.identities.clear()
            self.identities.update({(entity, key): value for key, value in found.items()})
        return {key: self.identities[entity, key] for key in keys if (entity, key) in self.identities}

    async def find_identified(self, entity: str, values: Sequence[str]) -> dict[str, str]:
        """The key each allotted value belongs to. Raises StoreUnavailable."""
        return await self._ask(self.store.find_identified, entity, values)

    async def runs_of(self, stored: Sequence[Stored]) -> dict[str, int]:
        """Digest of a payload -> the run it came in; absent for those that answered a query. Raises StoreUnavailable."""
        digests = {one.raw_digest for one in stored if one.raw_digest}
        return await self._ask(self.store.runs_of, digests) if digests else {}

    async def ask(self, question: Callable[[], Answer]) -> Answer:
        """What a question of one's own is answered. Raises StoreUnavailable."""
        return await self._ask(question)

    def close(self) -> None:
        """End the threads."""
        self.threads.shutdown()

    def _keep_clock(self) -> None:
        if hasattr(time, "pthread_getcpuclockid"):
            self.clocks.append(time.pthread_getcpuclockid(threading.get_ident()))

    async def _ask(self, question: Callable[..., Answer], *arguments: object) -> Answer:
        run = contextvars.copy_context().run
        try:
            return await asyncio.get_running_loop().run_in_executor(self.threads, run, question, *arguments)
        except (SQLAlchemyError, CodesExhausted) as error:
            logger().error("store.failed", question=question.__name__, error=type(error).__name__)
            raise StoreUnavailable(source="store", operation=question.__name__) from error


def _last_told(
    store: Store, mapping: SourceMapping, operation: str, role: LookupRole, keys: Mapping[str, str]
) -> dict[str, list[Stored]]:
    embedded = {name: inside.to for name, inside in mapping.entities[role.entity].embedded.items()}
    told = store.answers(mapping.name, operation, list(keys), embedded)
    unknown = {text: key for text, key in keys.items() if text not in told}
    if role.relation is None:
        copies = store.copies(mapping.name, role.entity, set(unknown.values()), embedded)
        known = {text: copies[key] for text, key in unknown.items() if key in copies}
        return told | {text: [copy] if copy else [] for text, copy in known.items()}
    streams = [o.name for o in mapping.operations.values() if o.changes and o.changes.entity == role.entity]
    if not unknown or not store.has_run(mapping.name, streams):
        return told
    related = store.related(role.entity, role.relation, list(unknown.values()), MOST_RELATED + 1, mapping.name)
    related = {key: found for key, found in related.items() if len(found) <= MOST_RELATED}
    copies = store.copies(mapping.name, role.entity, {key for found in related.values() for key in found}, embedded)
    return told | {
        text: [copy for found in related[key] if (copy := copies.get(found))]
        for text, key in unknown.items()
        if key in related
    }
