"""Files that an agency delivers: CSV, XLSX, JSON and NDJSON as rows of records in its own columns, in bounded memory.

What is wrong with a row is told with its place and the agency's own name of the column, and goes with the row. What is wrong
with the whole file — no such sheet, a missing column, another encoding, a bomb — is `Unreadable`, before anything is taken.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from typing import NoReturn

from adapters.errors import SourceRejected
from adapters.file_csv import read_csv
from adapters.file_json import read_json, read_ndjson
from adapters.file_rows import LINE, NDJSON, ROWS, Reading, Row, Unreadable, reread_rows
from adapters.file_xlsx import read_xlsx
from adapters.mapping.delivered import FileConnect, FileFormat, Layout
from adapters.mapping.model import Field, OperationMapping, SourceMapping
from adapters.mapping.paths import RecordPath
from adapters.source import Call, Page

MEDIA_TYPES: dict[str, FileFormat] = {
    "text/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/json": "json",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
"""What each media type is read as."""
ANYONES = FileConnect(kind="file", formats=["json", "ndjson"])
"""How records are delivered to a source that otherwise is asked: as it would answer them."""


class FileSource:
    """A source whose files come by themselves: there is nobody to ask."""

    async def call(self, call: Call) -> Page:
        """Refused."""
        _refuse(call)

    async def aclose(self) -> None:
        """Nothing to let go of."""


def connect_of(mapping: SourceMapping) -> FileConnect:
    """How files of this source are written."""
    return mapping.connect if isinstance(mapping.connect, FileConnect) else ANYONES


def format_of(mapping: SourceMapping, name: str) -> FileFormat:
    """The format that the ending of a file's name tells. Raises Unreadable when the source may not deliver it."""
    ending = Path(name).suffix.lower().removeprefix(".")
    taken = connect_of(mapping).formats
    for form in taken:
        if form == ending or (form == "ndjson" and ending == "jsonl"):
            return form
    legacy = "；.xls 请另存为 .xlsx" if ending == "xls" else ""
    raise Unreadable(f"“{name}” 不是约定的格式（{'、'.join(taken)}）{legacy}")


def operation_of_file(mapping: SourceMapping, name: str) -> OperationMapping:
    """The operation that a file belongs to by its name. Raises Unreadable when it is none, or more than one."""
    found, patterns = [], []
    for operation in mapping.operations.values():
        if operation.deliver is not None:
            names = layout_of(operation).names
            patterns += names
            if any(fnmatch(name, pattern) for pattern in names):
                found.append(operation)
    if len(found) == 1:
        return found[0]
    told = "属于多个操作" if found else "不属于任何操作"
    raise Unreadable(f"文件名 “{name}” {told}（约定的文件名：{'、'.join(patterns) or '无'}）")


def layout_of(operation: OperationMapping) -> Layout:
    """How its files are laid out."""
    return operation.written.layout or Layout()


@contextmanager
def read_file(mapping: SourceMapping, operation: OperationMapping, file: Path, form: FileFormat) -> Iterator[Reading]:
    """The rows of a file, to be read once. Raises Unreadable, at once or while rows are read."""
    connect, layout = connect_of(mapping), layout_of(operation)
    if form not in connect.formats:
        raise Unreadable(f"{form} 不是约定的格式（{'、'.join(connect.formats)}）")
    if (length := file.stat().st_size) > connect.max_bytes:
        raise Unreadable(f"文件有 {length} 字节，超过 {connect.max_bytes}（max_bytes）")
    if length == 0:
        raise Unreadable("文件是空的")
    match form:
        case "csv":
            with file.open("rb") as content:
                yield _checked(read_csv(content, connect, layout.header), mapping, operation, layout.header)
        case "xlsx":
            with read_xlsx(file, layout, connect.max_bytes, date_formats(mapping, operation)) as reading:
                yield _checked(reading, mapping, operation, layout.header)
        case "json":
            yield read_json(file, operation.records)
        case "ndjson":
            with file.open("rb") as content:
                yield read_ndjson(content)


def reread(mapping: SourceMapping, raw: bytes, media_type: str) -> Iterator[Row]:
    """The rows in a payload that was kept of a delivery, under the numbers they had in it. Raises Unreadable."""
    line = LINE.search(media_type)
    if media_type == ROWS:
        yield from reread_rows(raw)
    elif media_type.startswith("text/csv"):
        charset = "gb18030" if "gb18030" in media_type else "utf-8"
        connect = connect_of(mapping).model_copy(update={"charset": charset})
        yield from read_csv(io.BytesIO(raw), connect, 1, int(line[1]) if line else None).rows
    elif media_type.startswith(NDJSON):
        yield from read_ndjson(io.BytesIO(raw), int(line[1]) if line else 1).rows
    else:
        raise Unreadable(f"保存的原文不是交付的格式（{media_type}）")


def columns_read(mapping: SourceMapping, operation: OperationMapping) -> list[str]:
    """The columns that the mapping reads, each once, in its order."""
    columns = [path.steps[0][0] for path in _paths(mapping, operation.entity) if path.steps]
    deleted = operation.deliver.deleted if operation.deliver else None
    if deleted and deleted.path.steps:
        columns.append(deleted.path.steps[0][0])
    return list(dict.fromkeys(columns))


def date_formats(mapping: SourceMapping, operation: OperationMapping) -> dict[str, str]:
    """Column -> how dates are written in it, where the mapping says."""
    return {
        field.path.steps[0][0]: field.form.format
        for field in _fields(mapping, operation.entity)
        if field.path and field.path.steps and field.form and field.form.format and "%" in field.form.format
    }


def _checked(reading: Reading, mapping: SourceMapping, operation: OperationMapping, header: int) -> Reading:
    """The reading, whose head has every column that the mapping reads."""
    missing = [column for column in columns_read(mapping, operation) if column not in reading.columns]
    if missing:
        told = "、".join(f"“{column}”{_meant(column, reading.columns)}" for column in missing)
        has = "、".join(f"“{column}”" for column in reading.columns[:30])
        raise Unreadable(f"第 {header} 行（表头）缺少列 {told}；文件中有 {has}{reading.hint}")
    return reading


def _meant(column: str, columns: Sequence[str]) -> str:
    close = get_close_matches(column, columns, 1)
    return f"（是否 “{close[0]}”？）" if close else ""


def _fields(mapping: SourceMapping, entity: str, seen: frozenset[str] = frozenset()) -> Iterator[Field]:
    of = mapping.entities[entity]
    yield from (*of.fields.values(), *of.provenance.values(), *(r.field for r in of.references.values()))
    for inside in of.embedded.values():
        if not inside.path.steps and inside.to not in seen:
            yield from _fields(mapping, inside.to, seen | {entity})


def _paths(mapping: SourceMapping, entity: str) -> Iterator[RecordPath]:
    yield from (field.path for field in _fields(mapping, entity) if field.path)
    yield from (inside.path for inside in mapping.entities[entity].embedded.values() if inside.path.steps)


def _refuse(call: Call) -> NoReturn:
    raise SourceRejected(f"文件来源不能调用：{call.operation}")
