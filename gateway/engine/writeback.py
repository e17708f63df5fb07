"""Live answers flow back into the store behind the answer: queued, bounded, never waited for."""

import asyncio

from sqlalchemy.exc import SQLAlchemyError

from gateway.engine.executor import Answered
from gateway.log import logger
from gateway.store.store import Landing, Store

MOST_WAITING = 1000


class StoreWriteBack:
    """A queue and the one task that lands from it. What finds no room is let go: the next sync brings it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.waiting: asyncio.Queue[Answered] = asyncio.Queue(MOST_WAITING)
        self.let_go = 0

    def offer(self, answered: Answered) -> None:
        """Leave an answer for the store."""
        try:
            self.waiting.put_nowait(answered)
        except asyncio.QueueFull:
            self.let_go += 1
            logger().warning("writeback.full", source=answered.mapping.name, let_go=self.let_go)

    async def run(self) -> None:
        """Land what is offered, one after the other, until cancelled; a landing under way is finished first."""
        while True:
            answered = await self.waiting.get()
            landing = asyncio.ensure_future(self._land(answered))
            try:
                await asyncio.shield(landing)
            except asyncio.CancelledError:
                await landing
                raise
            finally:
                self.waiting.task_done()

    async def settle(self) -> None:
        """Wait until everything offered so far is in the store."""
        await self.waiting.join()

    async def _land(self, answered: Answered) -> None:
        landing = Landing(
            source=answered.mapping.name,
            operation=answered.operation,
            raw=answered.page.raw,
            media_type=answered.page.media_type,
            received_at=answered.page.received_at,
            mapped=answered.mapped,
            deleted=answered.deleted,
            answered=answered.answered,
            mapping_version=answered.mapping.version,
        )
        try:
            await asyncio.to_thread(self.store.land, landing)
        except SQLAlchemyError as error:
            logger().error("writeback.failed", source=landing.source, error=type(error).__name__)
        except Exception as error:  # a bug must not end the task that lands everybody's answers
            logger().error("writeback.bug", source=landing.source, error=type(error).__name__, exc_info=error)
