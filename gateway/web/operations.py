"""What those who run the gateway ask it: is it alive, is it ready, what has it counted. GET and HEAD only, never stored."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway import metrics
from gateway.web.admission import Admission

NO_STORE = {"cache-control": "no-store"}
REACHING = 1.0
"""Seconds that the store has to answer."""
REMEMBERED = 0.5
"""Seconds that its answer holds: however often we are asked, the store is not."""


@dataclass(slots=True)
class Operations:
    """The routes. `reach` says whether the store answers, in a thread; `health` says how the sources are, `counted` has the
    metrics of the calls to them."""

    admission: Admission
    reach: Callable[[], bool]
    health: Callable[[], Mapping[str, object]]
    counted: Callable[[], CollectorRegistry]
    looked: float = field(default=-REMEMBERED)
    is_reachable: bool = False
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def routes(self, with_metrics: bool) -> list[Route]:
        """`/healthz`, `/readyz`, and `/metrics` where it is wanted."""
        routes = [Route("/healthz", self._alive), Route("/readyz", self._ready)]
        return [*routes, Route("/metrics", self._metrics)] if with_metrics else routes

    async def _alive(self, _request: Request) -> Response:
        """That the event loop answers, and nothing else: whoever restarts us by this must not do so for a source or a store."""
        return JSONResponse({"status": "ok"}, headers=NO_STORE)

    async def _ready(self, _request: Request) -> Response:
        """Whether requests should be sent here. Sick sources are told, but do not make us unready: we answer without them."""
        checks = {"store": await self._store_answers(), "draining": self.admission.is_draining}
        is_ready = checks["store"] and not checks["draining"]
        body = {"status": "ready" if is_ready else "unready", **checks, "sources": dict(self.health())}
        return JSONResponse(body, 200 if is_ready else 503, headers=NO_STORE)

    async def _metrics(self, _request: Request) -> Response:
        metrics.IN_FLIGHT.set(self.admission.in_flight)
        metrics.WAITING.set(len(self.admission.waiting))
        metrics.LIMIT.set(self.admission.limit)
        metrics.ROOM.set(self.admission.room)
        metrics.BUSY_SHARE.set(self.admission.busy)
        metrics.THREAD_LAG.set(self.admission.thread_lag)
        metrics.DRAINING.set(self.admission.is_draining)
        return Response(
            metrics.exposed(self.counted()), headers=NO_STORE | {"content-type": metrics.CONTENT_TYPE_LATEST}
        )

    async def _store_answers(self) -> bool:
        async with self.looking:
            if time.monotonic() - self.looked >= REMEMBERED:
                try:
                    async with asyncio.timeout(REACHING):
                        self.is_reachable = await asyncio.to_thread(self.reach)
                except TimeoutError:
                    self.is_reachable = False
                self.looked = time.monotonic()
            return self.is_reachable
