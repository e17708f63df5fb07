"""A source that stands at the network: records that change, told in pages, with whatever goes wrong on the way."""

import json
from collections.abc import Callable, Mapping
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
    ties: tuple[str, ...] | None = None
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
        if self.ties is not None:
            return self._by_place(call, changed)
        start = 0 if call.page is None else (call.page - self.first) * call.size
        records = changed[start : start + call.size]
        raw = json.dumps([call.page, records]).encode()
        received_at = TODAY + timedelta(seconds=len(self.calls))
        return Page(records, raw, "application/json", received_at, len(changed) if self.counts else None)

    def _by_place(self, call: Call, changed: list[dict[str, Any]]) -> Page:
        """As a database answers: ordered by the cursor and `ties`, from a place on, that row included."""
        order = (self.cursor, *(self.ties or ()))

        def place_of(record: Mapping[str, Any]) -> list[Any]:
            return [_comparable(record[name]) for name in order]

        changed.sort(key=place_of)
        if call.cursor is not None:
            changed = [r for r in changed if place_of(r) >= place_of(json.loads(call.cursor))]
        records = changed[: call.size]
        following = json.dumps({name: records[-1][name] for name in order}) if records else None
        raw = json.dumps([call.cursor, records]).encode()
        received_at = TODAY + timedelta(seconds=len(self.calls))
        return Page(records, raw, "application/json", received_at, next=following)

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


def with_changes(mapping: SourceMapping, name: str, **words: Any) -> SourceMapping:
    """The mapping, but of these changes something else is said."""
    operation = mapping.operations[name]
    assert operation.changes is not None
    changed = replace(operation, changes=replace(operation.changes, **words))
    return replace(mapping, operations={**mapping.operations, name: changed})
