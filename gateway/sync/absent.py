"""Evidence of what a source no longer has: a payload of our own, kept like those of sources, so that history tells of it too."""

import json
from collections.abc import Iterable
from datetime import datetime

from adapters.mapping.model import SourceMapping
from gateway.store.arriving import Landing

ABSENT = "application/vnd.gateway.absent+json"
"""The media type of such a payload."""


def absence(
    mapping: SourceMapping, operation: str, run_id: int, entity: str, keys: Iterable[str], moment: datetime
) -> Landing:
    """What is to land: the list of what a whole reading did not find."""
    absent = sorted(keys)
    return Landing(
        source=mapping.name,
        operation=operation,
        raw=json.dumps({"run": run_id, "entity": entity, "absent": absent}, ensure_ascii=False).encode(),
        media_type=ABSENT,
        received_at=moment,
        mapped=[],
        mapping_version=mapping.version,
        deleted=[(entity, key) for key in absent],
    )


def read_absence(mapping: SourceMapping, operation: str, raw: bytes, moment: datetime) -> Landing:
    """The same, from the payload that was kept."""
    told = json.loads(raw)
    again = absence(mapping, operation, told["run"], told["entity"], told["absent"], moment)
    assert again.raw == raw
    return again
