"""Payloads read again, long after they arrived: every record in them with its place, so that a value can be shown where it stood."""

from collections.abc import Iterator
from typing import Any

from adapters.charset import to_text
from adapters.decode import decode
from adapters.errors import SourceContractBroken
from adapters.file import reread
from adapters.file_rows import Unreadable
from adapters.json_tree import parse_json
from adapters.mapping.delivered import FileConnect
from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.mapping.written import SoapConnect, SqlConnect
from adapters.source import Record

MOST_NODES = 50_000
LEAST_WRAPPED = 20
"""Characters of a text that may carry a document."""
Placed = tuple[str, Record]


def places_in(mapping: SourceMapping, operation: OperationMapping, raw: bytes, media_type: str) -> Iterator[Placed]:
    """Everything in a payload that could be a record, from the top down, with its path; nothing where it cannot be read.

    At most MOST_NODES.
    """
    try:
        for number, placed in enumerate(_places(mapping, operation, raw, media_type)):
            if number >= MOST_NODES:
                return
            yield placed
    except (SourceContractBroken, Unreadable, UnicodeDecodeError, ValueError):
        return


def _places(mapping: SourceMapping, operation: OperationMapping, raw: bytes, media_type: str) -> Iterator[Placed]:
    connect = mapping.connect
    if operation.deliver is not None:
        for number, row in enumerate(reread(mapping, raw, media_type)):
            yield from _walk(f"[{number}]", row.record)
    elif isinstance(connect, (SqlConnect, FileConnect)):
        yield from _walk("", parse_json(raw))
    elif isinstance(connect, SoapConnect):
        yield from _in_envelope(connect, decode(["xml"], to_text(raw)))
    else:
        tree = decode(list(connect.answer), to_text(raw, connect.charset))
        records = operation.records
        found = tree if not records.steps and isinstance(tree, list) else records.all(tree)
        for number, record in enumerate(found):
            yield from _walk(f"{records.text}[{number}]", record)


def _in_envelope(connect: SoapConnect, tree: Any) -> Iterator[Placed]:
    """What stands in an envelope, also in a text of it that carries a document of its own."""
    for path, node in _walk("", tree):
        yield path, node
        for name, text in node.items() if connect.answer else ():
            if isinstance(text, str) and len(text) >= LEAST_WRAPPED:
                try:
                    inside = decode(list(connect.answer), text)
                except (SourceContractBroken, ValueError):
                    continue
                yield from _walk(f"{path}.{name}".strip("."), inside)


def _walk(path: str, node: Any) -> Iterator[Placed]:
    """The mappings in a tree, each before what is in it."""
    waiting: list[tuple[str, Any]] = [(path, node)]
    while waiting:
        at, one = waiting.pop()
        if isinstance(one, dict):
            yield at, one
            waiting += [(f"{at}.{name}".strip("."), inside) for name, inside in reversed(one.items())]
        elif isinstance(one, list):
            waiting += [(f"{at}[{number}]", inside) for number, inside in reversed(list(enumerate(one)))]
