"""The records a simulator answers with: read from `mappings/<source>/samples/`, replaceable while it runs.

REST and platforms: `<Entity>.json`, a list of records. SOAP: `<Entity>.xml`, a root whose children are the records.
Databases: `schema.sql` and `<table>.csv` with a header row, where an empty cell is NULL.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from adapters.mapping.model import SourceMapping
from adapters.simulator.json_text import parse_json
from adapters.simulator.trees import parse_xml


class Dataset:
    """Records by entity (by table for a database); `version` moves with every replacement, for indexes to follow."""

    def __init__(self, records: Mapping[str, Iterable[Any]], ddl: str = "") -> None:
        self._records = {name: tuple(given) for name, given in records.items()}
        self.ddl = ddl
        self.version = 0

    def records(self, name: str) -> tuple[Any, ...]:
        """What there is of one entity or table. Raises KeyError when the source has no such thing."""
        return self._records[name]

    def replace(self, name: str, records: Iterable[Any]) -> None:
        """Answer with these from now on. Raises KeyError when the source has no such entity or table."""
        if name not in self._records:
            raise KeyError(f"{name}（有：{'、'.join(self._records)}）")
        self._records[name] = tuple(records)
        self.version += 1

    @property
    def counts(self) -> dict[str, int]:
        """How many records there are of each."""
        return {name: len(records) for name, records in self._records.items()}


def load_samples(mapping: SourceMapping, folder: Path | None = None) -> Dataset:
    """The samples of a mapping; an entity or table without a file has none. Raises ValueError naming a bad file."""
    folder = folder or mapping.folder / "samples"
    kind = mapping.connect.kind
    ending = {"sql": "csv", "soap": "xml"}.get(kind, "json")
    ddl = ""
    if kind == "sql":
        ddl = (folder / "schema.sql").read_text("utf-8")
        names = [str(operation.written.request.table) for operation in mapping.operations.values()]
    else:
        names = [operation.entity for operation in mapping.operations.values()]
    records: dict[str, list[Any]] = {name: [] for name in names}
    for file in sorted(folder.glob(f"*.{ending}")):
        try:
            records[file.stem] = parse_records(kind, file.read_bytes(), ending)
        except ValueError as error:
            raise ValueError(f"{file}：{error}") from None
    return Dataset(records, ddl)


def parse_records(kind: str, content: bytes, form: str = "json") -> list[Any]:
    """Records as a sample file of this kind has them; tables may be CSV or JSON. Raises ValueError."""
    if kind == "soap":
        return [child for child in parse_xml(content) if isinstance(child.tag, str)]
    text = content.decode("utf-8-sig")
    if form == "csv":
        return [{k: v or None for k, v in row.items()} for row in csv.DictReader(io.StringIO(text, newline=""))]
    records = parse_json(text)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError("应为记录（对象）的列表")
    return records
