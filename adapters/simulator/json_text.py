"""JSON whose numbers keep their digits."""

import json
from collections.abc import Mapping
from typing import Any


class Printed(str):
    """A piece of JSON that goes out as it is."""


class Number(Printed):
    """A JSON number as it was written, digit for digit."""


def parse_json(text: str | bytes) -> Any:
    """A JSON document whose numbers stay as they are written. Raises ValueError."""
    return json.loads(text, parse_float=Number, parse_int=Number)


def print_json(value: Any) -> str:
    """A JSON document; a Number goes out with the digits it came in with."""
    if isinstance(value, Printed):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{print_json(str(k))}:{print_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(print_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
