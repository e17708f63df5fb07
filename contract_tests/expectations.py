"""Expected files 期望: what every sample of every source must become, as plain JSON beside the samples.

`python -m contract_tests.expectations` writes `mappings/<source>/expected/<Entity>.json` again. The files are evidence,
not snapshots: whoever rewrites them reads each difference against the sample it came from.
"""

import csv
import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from adapters.decode import decode
from adapters.file import format_of, layout_of, operation_of_file, read_file
from adapters.mapping.load import load_mappings
from adapters.mapping.model import SourceMapping
from adapters.mapping.record import Mapped, map_record
from adapters.source import Record
from schema.formats import print_datetime
from schema.load import load_registry


def samples_of(mapping: SourceMapping) -> dict[str, list[Record]]:
    """The source's own records by the entity they become, read as its client would read them."""
    return {entity: _read_samples(mapping, entity) for entity in sorted(entities_returned(mapping))}


def entities_returned(mapping: SourceMapping) -> set[str]:
    """The entities that operations return; others are embedded in these and have no samples of their own."""
    return {operation.entity for operation in mapping.operations.values()}


def expected_from(mapping: SourceMapping, entity: str, records: list[Record]) -> list[dict[str, Any]]:
    """The records as entities, in order, as plain JSON."""
    return [as_plain(map_record(mapping, entity, record, hash_id)) for record in records]


def as_plain(mapped: Mapped) -> dict[str, Any]:
    """The entity with ISO dates, instants with +08:00, money in whole 分, tuples as lists.

    Provenance and embedded entities are left out when there are none; `quarantined` is there only when true.
    """
    plain: dict[str, Any] = {
        "key": mapped.key,
        "values": _plain(mapped.values),
        "refs": _plain(mapped.refs),
        "issues": [
            {"element": i.element, "check_type": i.check_type, "severity": i.severity, "reason": i.reason}
            for i in mapped.issues
        ],
    }
    if mapped.provenance:
        plain["provenance"] = _plain(mapped.provenance)
    if mapped.embedded:
        plain["embedded"] = {name: [as_plain(child) for child in inside] for name, inside in mapped.embedded.items()}
    if mapped.quarantined:
        plain["quarantined"] = True
    return plain


def hash_id(text: str) -> str:
    """Stands in for the keyed hash of an identity document; without a key, so that files come out alike anywhere."""
    return f"p1-{hashlib.sha256(text.encode()).hexdigest()}"


def expected_file(mapping: SourceMapping, entity: str) -> Path:
    """Where the entities expected from the samples are kept."""
    return mapping.folder / "expected" / f"{entity}.json"


def write_expected() -> list[Path]:
    """Write every expected file of every source again; returns them."""
    written = []
    for mapping in load_mappings(load_registry()).values():
        for entity, records in samples_of(mapping).items():
            file = expected_file(mapping, entity)
            file.parent.mkdir(exist_ok=True)
            text = json.dumps(expected_from(mapping, entity, records), ensure_ascii=False, indent=2)
            file.write_text(text + "\n", encoding="utf-8")
            written.append(file)
    return written


def _read_samples(mapping: SourceMapping, entity: str) -> list[Record]:
    folder = mapping.folder / "samples"
    match mapping.connect.kind:
        case "file":
            operations = [operation for operation in mapping.operations.values() if operation.entity == entity]
            names = [name for operation in operations for name in layout_of(operation).names]
            files = sorted(file for name in names for file in folder.glob(name))
            return [record for file in files for record in _read_file(mapping, file)]
        case "sql":
            return _read_csv(folder / f"{_table_of(mapping, entity)}.csv")
        case "soap":
            samples = decode(["xml"], (folder / f"{entity}.xml").read_text(encoding="utf-8"))["samples"]
            (records,) = samples.values()
            return records if isinstance(records, list) else [records]
        case _:
            records = decode(["json"], (folder / f"{entity}.json").read_text(encoding="utf-8"))
            assert isinstance(records, list)
            return records


def _read_file(mapping: SourceMapping, file: Path) -> list[Record]:
    with read_file(mapping, operation_of_file(mapping, file.name), file, format_of(mapping, file.name)) as reading:
        rows = list(reading.rows)
    assert [row.fault for row in rows if row.fault] == []
    return [row.record for row in rows]


def _table_of(mapping: SourceMapping, entity: str) -> str:
    tables = {str(o.written.request.table) for o in mapping.operations.values() if o.entity == entity}
    (table,) = tables
    return table


def _read_csv(file: Path) -> list[Record]:
    with file.open(encoding="utf-8", newline="") as lines:
        return [{column: text or None for column, text in row.items()} for row in csv.DictReader(lines)]


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return print_datetime(value)
        case date():
            return value.isoformat()
        case Mapping():
            return {name: _plain(inside) for name, inside in value.items()}
        case tuple() | list():
            return [_plain(inside) for inside in value]
        case _:
            return value


if __name__ == "__main__":
    for path in write_expected():
        print(path)
