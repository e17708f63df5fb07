"""Several rows may tell of one record, one for each `i`, `u` or `d` 操作: the last one is what holds."""

from collections.abc import Sequence
from typing import Any

from adapters.errors import SourceContractBroken
from adapters.mapping.paths import RecordPath, plain
from adapters.source import Record

Rank = tuple[tuple[int, int, str], ...]


def latest(records: Sequence[Record], of: RecordPath | None, by: Sequence[RecordPath]) -> list[Record]:
    """One record for each value at `of`: the last in the order of `by`, of equal ones the one that came last.

    Deletions are kept like any other row, for the caller must see them; records without `of` are all kept. Whole
    numbers are ordered as numbers, everything else as text, absence first.
    """
    if of is None:
        return list(records)
    last: dict[str, tuple[Rank, int]] = {}
    kept: list[int] = []
    for position, record in enumerate(records):
        name = _text(record, of)
        if name is None:
            kept.append(position)
            continue
        rank = tuple(_order(_text(record, path)) for path in by)
        if name not in last or rank >= last[name][0]:
            last[name] = (rank, position)
    return [records[position] for position in sorted([*kept, *(position for _, position in last.values())])]


def _order(text: str | None) -> tuple[int, int, str]:
    if text is None:
        return (0, 0, "")
    if text.isascii() and text.isdigit():
        digits = text.lstrip("0")
        return (1, len(digits), digits)
    return (2, 0, text)


def _text(record: Record, path: RecordPath) -> str | None:
    try:
        found: list[Any] = [plain(value) for value in path.find(record)]
    except ValueError as error:
        raise SourceContractBroken(str(error)) from None
    return str(found[0]) if found and found[0] is not None else None
