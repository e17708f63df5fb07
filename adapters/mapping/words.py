"""What the words of the mapping language may hold: sizes, names, texts, addresses; and what tells that a record is meant."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from adapters.mapping.limits import Written
from schema.identifiers import check_uscc

SIZE = re.compile(r"(\d+)(KB|MB)")
SIZES = {"KB": 1024, "MB": 1024 * 1024}


def size(text: object) -> object:
    """An amount of data such as `512KB` or `4MB` (of 1024), in bytes; a number is what it is."""
    match = SIZE.fullmatch(str(text))
    if not match and not isinstance(text, int):
        raise ValueError(f"“{text}” 不是大小（例：512KB、4MB）")
    return int(match[1]) * SIZES[match[2]] if match else text


def listed(value: object) -> object:
    """One value may be written instead of a list of one."""
    return value if isinstance(value, list) else [value]


def _env(text: str) -> str:
    if not re.fullmatch(r"env:[A-Z][A-Z0-9_]*", text):
        raise ValueError("地址和密钥只能写成 env:NAME（大写环境变量名）")
    return text


Size = Annotated[int, BeforeValidator(size), Field(ge=1024, le=64 * 1024 * 1024)]
FromEnv = Annotated[str, AfterValidator(_env)]
Uscc = Annotated[str, AfterValidator(check_uscc)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Texts = Annotated[list[str], BeforeValidator(listed)]


class Is(Written):
    """A record is meant when the value at `path` is one of `is`."""

    path: str
    is_: Texts = Field(alias="is")
