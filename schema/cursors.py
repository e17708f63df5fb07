"""Cursors: where in an ordered list an entity stands. Opaque to clients, and good however many rows come and go meanwhile."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from schema.conditions import Order
from schema.formats import UNSTORABLE
from schema.registry import Entity

FOREIGN = "不是本列表按此排序的翻页位置"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a list: what its entity has in each element of the order, None where it has nothing, and its key."""

    values: tuple[Any, ...]
    key: str


def print_cursor(entity: Entity, order: Sequence[Order], position: Position) -> str:
    """The cursor of a position; it is good only for the same list in the same order."""
    values = [value.isoformat() if isinstance(value, date) else value for value in position.values]
    text = json.dumps([_mark(entity, order), *values, position.key], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(entity: Entity, order: Sequence[Order], cursor: str) -> Position:
    """The position behind a cursor. Raises ValueError when it is none of this list in this order."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        mark, *values, key = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise ValueError(FOREIGN) from None
    if mark != _mark(entity, order) or len(values) != len(order) or not isinstance(key, str) or UNSTORABLE.search(key):
        raise ValueError(FOREIGN)
    read = (_value(entity, item.element, value) for item, value in zip(order, values, strict=True))
    position = Position(tuple(read), key)
    if print_cursor(entity, order, position) != cursor:
        raise ValueError(FOREIGN)
    return position


def _mark(entity: Entity, order: Sequence[Order]) -> str:
    text = "|".join([entity.name, *(f"{item.element} {item.descending}" for item in order)])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _value(entity: Entity, element: str, value: Any) -> Any:
    """What the cursor says of an element, as the store compares it. Raises ValueError for a value of another kind."""
    if value is None:
        return None
    of = entity.elements[element]
    kind = "text" if of.codes else of.format.kind
    wanted: type = {"number": int, "money": int, "boolean": int}.get(kind, str)
    if type(value) is not wanted or (isinstance(value, str) and UNSTORABLE.search(value)):
        raise ValueError(FOREIGN)
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError(FOREIGN)
    try:
        return READ.get(kind, _as_it_is)(value)
    except ValueError:
        raise ValueError(FOREIGN) from None


def _as_it_is(value: Any) -> Any:
    return value


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(FOREIGN)
    return moment


READ: Mapping[str, Callable[[Any], Any]] = {"date": date.fromisoformat, "datetime": _instant}
