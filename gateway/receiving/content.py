"""What is handed in, as something that can be read again and again: a file, or records that came in a request."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from adapters.file import read_file
from adapters.file_rows import Reading, Row, kept_row
from adapters.mapping.delivered import FileFormat
from adapters.mapping.model import OperationMapping, SourceMapping

CHUNK = 1024 * 1024
EXACT_DIGITS = 15
"""Digits of a number with a point that survive being a double."""


@dataclass(frozen=True, slots=True)
class Content:
    """`digest` is of the bytes as they were handed in (SHA-256, hexadecimal); `read` gives the rows anew each time and raises
    Unreadable. `form` and `name` are for the receipt."""

    digest: str
    form: str
    name: str
    read: Callable[[], AbstractContextManager[Reading]]


def file_content(
    mapping: SourceMapping, operation: OperationMapping, file: Path, form: FileFormat, name: str = ""
) -> Content:
    """A file, under the name it was delivered by."""
    return Content(digest_of(file), form, name or file.name, lambda: read_file(mapping, operation, file, form))


def digest_of(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def records_content(records: Sequence[Any]) -> Content:
    """Records that came in a request, each a JSON object."""
    rows = [_row(number, record) for number, record in enumerate(records, 1)]
    digest = hashlib.sha256(b"".join(row.raw for row in rows)).hexdigest()

    @contextmanager
    def read() -> Iterator[Reading]:
        yield Reading(iter(rows))

    return Content(digest, "graphql", "", read)


def _row(number: int, given: Any) -> Row:
    if not isinstance(given, Mapping):
        record: dict[str, Any] = {"": msgspec.json.encode(given).decode()}
        return kept_row(number, record, f"第 {number} 条不是记录（JSON 对象）")
    faults: list[str] = []
    record = {str(name): _as_text(value, str(name), faults) for name, value in given.items()}
    fault = f"第 {number} 条：{'；'.join(faults)}" if faults else None
    return kept_row(number, record, fault)


def _as_text(value: Any, name: str, faults: list[str]) -> Any:
    """The value with every scalar as its text. A number with a point has been a double on its way: what may have lost digits
    by that is a fault."""
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            text = repr(value)
            if "e" in text or "n" in text or len(text.replace(".", "").lstrip("-0")) > EXACT_DIGITS:
                faults.append(f"“{name}” 是位数过多的 JSON 数字，传输中可能失真，请写成文本")
            return text.removesuffix(".0") if text.endswith(".0") else text
        case Mapping():
            return {str(key): _as_text(inside, f"{name}.{key}", faults) for key, inside in value.items()}
        case list() | tuple():
            return [_as_text(inside, name, faults) for inside in value]
    return str(value)
