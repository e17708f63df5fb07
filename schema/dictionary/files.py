"""Hands the specification out as files, and puts a specification that was taken back into a folder."""

import json
import tempfile
from pathlib import Path

from schema.dictionary.json_schema import entity_schema
from schema.dictionary.odcs import odcs_yaml
from schema.dictionary.sheets import make_sheets
from schema.dictionary.xlsx import write_workbook
from schema.dictionary.yaml_files import write_specification
from schema.load import load_registry
from schema.registry import Registry

FORMATS = ("xlsx", "json-schema", "odcs")


def export(registry: Registry, form: str, out: Path) -> list[Path]:
    """Write the specification as a workbook, as a data contract, or as a folder with a JSON Schema per entity."""
    if form == "json-schema":
        out.mkdir(parents=True, exist_ok=True)
        return [_write(out / f"{e.name}.schema.json", _json(registry, e.name)) for e in registry.entities.values()]
    out.parent.mkdir(parents=True, exist_ok=True)
    content = write_workbook(make_sheets(registry)) if form == "xlsx" else odcs_yaml(registry).encode()
    return [_write(out, content)]


def _json(registry: Registry, entity: str) -> bytes:
    schema = entity_schema(registry, registry.entities[entity])
    return (json.dumps(schema, ensure_ascii=False, indent=2) + "\n").encode()


def _write(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def put_into(registry: Registry, folder: Path) -> None:
    """Write the specification into a folder that is new or empty. Raises FileExistsError when it is not.

    What was written is read back before the folder gets its name; it is the same specification, or nothing is there.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} 不是空文件夹")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        inner = Path(made) / folder.name
        write_specification(registry, inner)
        assert load_registry(inner) == registry, "what was written does not read back as what was taken"
        inner.replace(folder)
