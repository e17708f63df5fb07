"""Calls to sources: how many at once, for how long, and what is written down about each."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from adapters.errors import SourceContractBroken, SourceError, SourceTimeout
from adapters.mapping.model import SourceMapping
from adapters.source import Call, Page, Source
from gateway.context import Deadline
from gateway.log import logger


class Calls:
    """The sources and their limits; one for the whole process, since the limit is for all users together."""

    def __init__(self, sources: Mapping[str, Source], mappings: Mapping[str, SourceMapping]) -> None:
        self.sources, self.mappings = sources, mappings
        self.places = {name: asyncio.Semaphore(m.connect.concurrency) for name, m in mappings.items()}

    async def make(self, source: str, operation: str, deadline: Deadline, **arguments: Any) -> Page:
        """One call. Raises a SourceError that names source and operation, and never outlives the deadline."""
        limit = min(self.mappings[source].connect.timeout, deadline.left)
        started = time.perf_counter()
        page: Page | None = None
        outcome = "OK"
        try:
            if limit <= 0:
                raise SourceTimeout("请求时限已到，未发起调用")
            async with asyncio.timeout(limit), self.places[source]:
                left = limit - (time.perf_counter() - started)
                page = await self.sources[source].call(Call(operation, left, **arguments))
                return page
        except SourceError as error:
            error.source, error.operation = source, operation
            outcome = error.code
            raise
        except TimeoutError:
            outcome = "SOURCE_TIMEOUT"
            raise SourceTimeout(f"{limit:.1f} 秒内没有答复", source=source, operation=operation) from None
        except asyncio.CancelledError:
            outcome = "CANCELLED"
            raise
        except Exception as error:
            outcome = "SOURCE_CONTRACT_BROKEN"
            raise SourceContractBroken(type(error).__name__, source=source, operation=operation) from error
        finally:
            logger().info(
                "source.call",
                source=source,
                operation=operation,
                keys=len(arguments.get("keys", ())),
                records=len(page.records) if page else 0,
                ms=round((time.perf_counter() - started) * 1000, 1),
                outcome=outcome,
            )

    async def aclose(self) -> None:
        """Close every source."""
        for source in self.sources.values():
            await source.aclose()
