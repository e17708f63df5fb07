"""The store as the engine sees it: its questions asked off the event loop, under one kind of failure."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from adapters.errors import SourceError
from adapters.mapping.model import SourceMapping
from gateway.log import logger
from gateway.store.store import Store, Stored

MOST_RELATED = 1000
IDENTITIES_KEPT = 50_000
Answer = TypeVar("Answer")


class StoreUnavailable(SourceError):
    """本地存储暂时无法访问"""

    retryable = True


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of a list root: keys in order, whether there are more, and how many there are in all."""

    keys: list[str]
    has_next: bool
    total: int


class Storage:
    """The store behind `asyncio.to_thread`, with allotted identities remembered, since they never change."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.identities: dict[tuple[str, str], str] = {}

    async def answers(
        self, mapping: SourceMapping, operation: str, entity: str, texts: Sequence[str]
    ) -> dict[str, list[Stored]]:
        """What the source last answered to these keys; nothing when the store cannot tell either."""
        embedded = {name: inside.to for name, inside in mapping.entities[entity].embedded.items()}
        try:
            return await self._ask(self.store.answers, mapping.name, operation, texts, embedded)
        except StoreUnavailable:
            return {}

    async def by_keys(self, entity: str, keys: Sequence[str]) -> list[Stored]:
        """Every source's copy of these entities. Raises StoreUnavailable."""
        return await self._ask(self.store.by_keys, entity, keys) if keys else []

    async def related(self, entity: str, relation: str, targets: Sequence[str]) -> dict[str, list[str]]:
        """The keys of the entities that refer to each target. Raises StoreUnavailable."""
        return await self._ask(self.store.related, entity, relation, targets, MOST_RELATED) if targets else {}

    async def page(self, entity: str, first: int, after: str | None) -> ListPage:
        """A page of all stored entities in the order of their keys. Raises StoreUnavailable."""
        return ListPage(*await self._ask(self.store.page, entity, first, after))

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

    async def _ask(self, question: Callable[..., Answer], *arguments: object) -> Answer:
        try:
            return await asyncio.to_thread(question, *arguments)
        except SQLAlchemyError as error:
            logger().error("store.failed", question=question.__name__, error=type(error).__name__)
            raise StoreUnavailable(source="store", operation=question.__name__) from error
