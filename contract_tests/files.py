"""Files as agencies deliver them, honest and otherwise, and what is read of them."""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl

from adapters.file import format_of, operation_of_file, read_file
from adapters.file_rows import Unreadable
from adapters.mapping.load import MAPPINGS_FOLDER, load_mapping
from adapters.mapping.model import SourceMapping
from schema.load import load_registry

REGISTRY = load_registry()
LEDGER = load_mapping(REGISTRY, MAPPINGS_FOLDER / "linxi_ledger")
SAMPLES = MAPPINGS_FOLDER / "linxi_ledger" / "samples"
HEAD = "措施编号,案号,措施种类,罚款(元),日期"
MAPPING = """
source: {name}
title: 试验台账
agency: 11350181MB0B002115
owner: 试验
connect: {connect}
operations:
  delivered: {operation}
entities:
  CoerciveMeasure:
    key: measure_id
    fields:
      measure_id: 措施编号
      case: {{path: 案号, ref: EnforcementCase.source_case_no}}
      measure_type: {{path: 措施种类, codes: kind}}
      due_date: {{path: 日期, as: date, format: "%Y/%m/%d"}}
codes:
  kind: {{查封: SEAL_UP, 扣押: DETAIN, otherwise: issue}}
"""


def file_mapping(
    folder: Path, connect: str = "{kind: file}", operation: str = "{deliver: {entity: CoerciveMeasure}}"
) -> SourceMapping:
    """A source of files with four columns, written in `folder`."""
    made = folder / "ledger"
    made.mkdir(exist_ok=True)
    text = MAPPING.format(name="ledger", connect=connect, operation=operation)
    (made / "mapping.yaml").write_text(text, "utf-8")
    return load_mapping(REGISTRY, made)


def rows_of(mapping: SourceMapping, file: Path) -> list[tuple[int, dict[str, Any], str | None]]:
    """Number, record and fault of every row."""
    with read_file(mapping, operation_of_file(mapping, file.name), file, format_of(mapping, file.name)) as reading:
        return [(row.number, dict(row.record), row.fault) for row in reading.rows]


def refusal_of(mapping: SourceMapping, file: Path) -> str:
    """Why the file as a whole is not taken."""
    try:
        rows_of(mapping, file)
    except Unreadable as error:
        return str(error)
    raise AssertionError("the file was taken")


def workbook(file: Path, rows: Sequence[Sequence[Any]], change: Callable[[Any], None] | None = None) -> Path:
    """An XLSX file with one sheet of these rows."""
    book = openpyxl.Workbook()
    page = book.active
    for row in rows:
        page.append(list(row))  # type: ignore[union-attr]
    if change:
        change(page)
    book.save(file)
    return file


def repacked(file: Path, changes: dict[str, Callable[[bytes], bytes]]) -> Path:
    """The same archive with some of its parts changed."""
    parts = {}
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for name, change in changes.items():
        parts[name] = change(parts.get(name, b""))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file
