"""From an HTTP answer to a Page: the steps that every kind of source over HTTP shares."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from adapters.errors import SourceContractBroken, SourceError, SourceRejected
from adapters.http import HttpAnswer
from adapters.latest import latest
from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.mapping.paths import parse_path
from adapters.outcome import Verdict, raise_for, text_at
from adapters.source import Call, Page, Reader, Unread
from schema.formats import CHINA_TIME

LARGEST_INLINE = 256 * 1024
"""Bytes of an answer that may be read on the event loop; larger ones are read in a thread."""

Result = TypeVar("Result")


class told_by:
    """Errors raised inside say which source and operation they come from."""

    __slots__ = ("call", "mapping")

    def __init__(self, mapping: SourceMapping, call: Call) -> None:
        self.mapping, self.call = mapping, call

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, SourceError):
            error.source, error.operation = self.mapping.name, self.call.operation


def operation_of(mapping: SourceMapping, call: Call) -> OperationMapping:
    """The operation that is called. Raises SourceRejected when there is none of this name, or a key is no text."""
    try:
        texts = (text for given in call.filters.values() for text in given)
        "".join((*call.keys, *texts, call.since or "", call.until or "", call.cursor or "")).encode()
    except UnicodeEncodeError:
        raise SourceRejected("键中含有不成对的代理字符") from None
    try:
        return mapping.operations[call.operation]
    except KeyError:
        raise SourceRejected(f"没有操作 {call.operation}") from None


async def off_loop(size: int, read: Callable[[], Result]) -> Result:
    """What `read` returns; of a large answer it is computed in a thread, so that others need not wait."""
    return read() if size <= LARGEST_INLINE else await asyncio.to_thread(read)


def page_read(answer: HttpAnswer, reader: Reader | None, whole: Callable[[], Page]) -> Page | None:
    """The page of an answer that a reader can read; `whole` reads it in the general way, should somebody look at its records."""
    if reader is None:
        return None
    media_type = answer.content_type
    if (read := reader.read(answer.body, media_type)) is None:
        return None
    records = Unread(len(read), lambda: whole().records)
    return Page(records, answer.body, media_type, datetime.now(CHINA_TIME), read=read, read_by=reader)


def page_of(
    operation: OperationMapping,
    tree: Any,
    verdict: Verdict,
    raw: bytes,
    media_type: str,
    notes: Mapping[str, str] | None = None,
) -> Page:
    """The page in a decoded answer. Raises what the verdict stands for, or SourceContractBroken."""
    raise_for(verdict)
    now = datetime.now(CHINA_TIME)
    notes = dict(notes or {})
    if verdict.kind == "empty":
        return Page([], raw, media_type, now, None, notes=notes)
    records = _records(operation, tree)
    if operation.lookup:
        records = latest(records, operation.latest_of, operation.latest_by)
    written = operation.written.page
    following = text_at(tree, parse_path(written.next)) if written and written.next else None
    return Page(records, raw, media_type, now, _total(operation, tree, notes), following or None, notes)


def _records(operation: OperationMapping, tree: Any) -> list[Any]:
    """The records; places with nothing in them are none. Raises SourceContractBroken for what is no record, and for an
    answer that has no such place: a source that renamed it would otherwise look empty.
    """
    if operation.needs_container and not operation.records.is_there(tree):
        raise SourceContractBroken(f"答复里没有 {operation.records.text}")
    try:
        found = operation.records.all(tree)
    except ValueError as error:
        raise SourceContractBroken(str(error)) from None
    if not operation.records.steps and isinstance(tree, list):
        found = tree
    records = [value for value in found if value not in (None, "")]
    if not all(isinstance(value, Mapping) for value in records):
        raise SourceContractBroken(f"{operation.records.text} 处应为记录，实为单个值或嵌套的列表")
    return records


def _total(operation: OperationMapping, tree: Any, notes: dict[str, str]) -> int | None:
    """The number of records on all pages; what is no number is noted, not guessed."""
    written = operation.written.page
    if written is None or written.total is None:
        return None
    text = text_at(tree, parse_path(written.total))
    if text and text.isascii() and text.isdigit() and len(text) < 16:
        return int(text)
    notes["total"] = f"{written.total} 不是整数"
    return None
