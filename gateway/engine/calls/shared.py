"""What replicas share over Redis: asked briefly, missed without harm. Nothing in it is true just because it is there."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.log import logger

if TYPE_CHECKING:
    from redis.asyncio import Redis

PATIENCE = 0.05
"""Seconds that anybody waits for Redis."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
CONNECTIONS = 16
Answer = TypeVar("Answer")


class SharedIsDown(Exception):
    """Redis 暂时无法访问"""


class Shared:
    """A Redis. Once it did not answer in time it counts as down, and costs nobody anything, until it has answered a ping.

    The ping is sent behind everybody's back, after pauses that grow to LONGEST_PAUSE.
    """

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        # imported late: without Redis nobody pays for its client, and it is a good part of starting
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError, ResponseError

        self._errors: tuple[type[Exception], ...] = (RedisError, OSError, TimeoutError)
        self._answers: type[Exception] = ResponseError
        self._patience = patience
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=patience,
            socket_timeout=patience,
            socket_connect_timeout=patience,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis: Redis = Redis.from_pool(pool)
        self._watch: asyncio.Task[None] | None = None
        self.is_up = True
        self.since = time.time()

    async def ask(self, question: Callable[["Redis"], Awaitable[Answer]]) -> Answer:
        """What Redis answers. Raises SharedIsDown: at once while it is known to be down, else within the patience."""
        if not self.is_up:
            raise SharedIsDown
        try:
            async with asyncio.timeout(self._patience):
                return await question(self._redis)
        except self._answers as error:  # it is there, and does not like the question, or what it found
            logger().warning("redis.refused", error=type(error).__name__)
            raise SharedIsDown from None
        except self._errors as error:
            self._lost(type(error).__name__)
            raise SharedIsDown from None

    async def aclose(self) -> None:
        """Let go of the connections."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        self.is_up = False
        await _quietly(self._redis.aclose(), self._errors)

    def _lost(self, why: str) -> None:
        if self.is_up:
            self.is_up, self.since = False, time.time()
            logger().warning("redis.down", error=why)
            self._watch = asyncio.get_running_loop().create_task(self._until_it_answers())

    async def _until_it_answers(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            try:
                async with asyncio.timeout(self._patience):
                    ping: Any = self._redis.ping()
                    await ping
            except self._errors:
                continue
            self.is_up, self.since = True, time.time()
            logger().info("redis.up")
            return


async def _quietly(work: Awaitable[Any], errors: tuple[type[Exception], ...]) -> None:
    try:
        await work
    except errors:
        return
