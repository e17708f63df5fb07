"""A source that stands at the network: records that change, told in pages, with whatever goes wrong on the way."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from adapters.errors import SourceUnavailable
from adapters.mapping.load import load_mappings
from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.source import Call, Page
from contract_tests.stores import REGISTRY
from schema.formats import CHINA_TIME

MAPPINGS = load_mappings(REGISTRY)
TODAY = datetime(2026, 1, 1, tzinfo=CHINA_TIME)


@dataclass
class Changing:
    """Answers calls for changes from `records`, in the order of `cursor` unless `order` says otherwise."""

    cursor: str
    records: list[dict[str, Any]]
    counts: bool = True
    order: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] | None = None
    first: int = 1
    fails_at: set[int] = field(default_factory=set)
    error: Exception = field(default_factory=lambda: SourceUnavailable("http://10.1.2.3/secret"))
    calls: list[Call] = field(default_factory=list)

    async def call(self, call: Call) -> Page:
        """One page of what changed at or after `since`."""
        self.calls.append(call)
        if len(self.calls) in self.fails_at:
            raise self.error
        order = self.order or (lambda records: sorted(records, key=lambda record: _comparable(record[self.cursor])))
        since = _comparable(call.since) if call.since is not None else None
        changed = [r for r in order(self.records) if since is None or _comparable(r[self.cursor]) >= since]
        assert call.size is not None
        start = 0 if call.page is None else (call.page - self.first) * call.size
        records = changed[start : start + call.size]
        raw = json.dumps([call.page, records]).encode()
        received_at = TODAY + timedelta(seconds=len(self.calls))
        return Page(records, raw, "application/json", received_at, len(changed) if self.counts else None)

    async def aclose(self) -> None:
        """Nothing to let go of."""


def _comparable(text: str) -> Any:
    return int(text) if text.isdigit() else text


def with_page_size(mapping: SourceMapping, name: str, size: int) -> SourceMapping:
    """The mapping, but this operation has pages of another size."""
    operation: OperationMapping = mapping.operations[name]
    assert operation.written.page is not None
    page = operation.written.page.model_copy(update={"size": size})
    written = operation.written.model_copy(update={"page": page})
    return replace(mapping, operations={**mapping.operations, name: replace(operation, written=written)})
