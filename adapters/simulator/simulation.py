"""What the protocol of a simulator needs: whom it plays, with which records and secrets, and what it is to do wrong."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.mapping.model import SourceMapping
from adapters.secrets import resolve
from adapters.simulator.answering import Answering
from adapters.simulator.faults import Calls, Faults
from adapters.simulator.samples import Dataset
from adapters.simulator.trees import tree_of

FRESH = 300.0
"""Seconds a time stamp may be away from now."""


@dataclass(frozen=True)
class Simulation:
    """`secrets` are the values of the mapping's `env:` names. `secret_lifetime` bounds what platforms hand out."""

    mapping: SourceMapping
    secrets: Mapping[str, str]
    dataset: Dataset
    faults: Faults = field(default_factory=Faults)
    calls: Calls = field(default_factory=Calls)
    clock: Callable[[], float] = time.time
    secret_lifetime: float | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def secret(self, written: str) -> str:
        """The value of `env:NAME`."""
        return resolve(written, self.secrets)

    def answering(self) -> Answering:
        """Answers from the records, whatever form they have."""
        view: Callable[[Any], Any] = tree_of if self.mapping.connect.kind == "soap" else _as_it_is
        return Answering(self.mapping, self.dataset, view)

    async def wait(self, seconds: float) -> bool:
        """Be slow, but not slower than the simulator's own end; False when it has come."""
        if seconds <= 0:
            return not self.stopping.is_set()
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return True
        return False


def _as_it_is(record: Any) -> Any:
    return record
