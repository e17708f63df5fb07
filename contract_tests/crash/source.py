"""The world at the network: pages of it, as its kind of source gives them, with whatever goes wrong on the way."""

import json
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from adapters.errors import SourceContractBroken, SourceThrottled, SourceUnavailable
from adapters.mapping.model import OperationMapping
from adapters.source import Call, Page
from contract_tests.crash.world import Event, World, moment
from schema.formats import CHINA_TIME

FAULTS = ("drop", "throttle", "repeat", "shuffle")


class Clock:
    """The minute it is, for all processes that were forked from one."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    @property
    def minute(self) -> int:
        """The minute it is."""
        return int(struct.unpack("q", self._memory[:8])[0])

    @minute.setter
    def minute(self, value: int) -> None:
        self._memory[:8] = struct.pack("q", value)


@dataclass
class Faulty:
    """Tells of a world; every call takes a minute. `faults`: number of the call -> what is wrong with its answer."""

    world: World
    clock: Clock
    faults: Mapping[int, str] = field(default_factory=dict)
    calls: int = 0
    last: Page | None = None

    async def call(self, call: Call) -> Page:
        """One page, or an error."""
        self.calls += 1
        minute = self.clock.minute
        self.clock.minute = minute + 1
        fault = self.faults.get(self.calls)
        if fault == "drop":
            raise SourceUnavailable
        if fault == "throttle":
            raise SourceThrottled
        if fault == "repeat" and self.last is not None:
            return self.last
        page = self._page(call, minute)
        if fault == "shuffle" and self.world.kind != "place":
            records = list(page.records)[::-1]
            raw = _raw([*json.loads(page.raw)[:-1], records])
            page = Page(records, raw, page.media_type, page.received_at, page.total, page.next)
        self.last = page
        return page

    def reread(self, operation: OperationMapping, raw: bytes, media_type: str) -> Page:
        """The page that one of its answers was."""
        del operation
        told = json.loads(raw)
        if not isinstance(told, list):
            raise SourceContractBroken("not an answer of this source")
        return Page(told[-1], raw, media_type, moment(told[0]) + timedelta(seconds=1))

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def _page(self, call: Call, minute: int) -> Page:
        world, assert_size = self.world, call.size or 1
        rows = world.rows(minute)
        if call.since is not None:
            rows = [event for event in rows if self._cursor(event) >= _read(call.since)]
        total = len(rows) if world.kind == "number" else None
        if call.cursor is not None:
            place = json.loads(call.cursor)["place"]
            rows = [event for event in rows if list(world.place(event)) >= place]
        start = (call.page - 1) * assert_size if call.page else 0
        chosen = rows[start : start + assert_size]
        records = [world.way.record(event) for event in chosen]
        following = json.dumps({"place": world.place(chosen[-1])}) if chosen and world.kind == "place" else None
        raw = _raw([minute, call.since, call.page, call.cursor, records])
        received_at = moment(minute) + timedelta(seconds=1)
        return Page(records, raw, "application/json", received_at, total, following)

    def _cursor(self, event: Event) -> Any:
        return event.number if self.world.kind == "since" else moment(event.stamp)


def _raw(told: list[Any]) -> bytes:
    return json.dumps(told, ensure_ascii=False).encode()


def _read(text: str) -> Any:
    if text.lstrip("-").isdigit():
        return int(text)
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA_TIME)
