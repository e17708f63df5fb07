"""Values that mappings only name: `env:NAME` is an address, a key or a password of this installation."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from adapters.mapping.model import SourceMapping

Secrets = Mapping[str, str]
"""The values by name. Whoever starts the process reads the environment; adapters are given this."""

PREFIX = "env:"
NAMED = re.compile(r"env:[A-Z][A-Z0-9_]*")


class MissingSecret(Exception):
    """环境变量未设置"""

    def __init__(self, *names: str) -> None:
        self.names = names
        super().__init__(f"环境变量未设置：{'、'.join(names)}")


class BadSecret(Exception):
    """环境变量的值不能用"""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        super().__init__(f"环境变量 {name} 的值不能用：{reason}")


def resolve(text: str, secrets: Secrets) -> str:
    """The value of `env:NAME`. Raises MissingSecret (also when it is empty) or BadSecret, never with the value."""
    name = text.removeprefix(PREFIX)
    value = secrets.get(name, "")
    if not value:
        raise MissingSecret(name)
    if not value.isprintable():
        raise BadSecret(name, "含有换行或控制字符")
    return value


def resolve_address(text: str, secrets: Secrets) -> str:
    """The http(s) address that `env:NAME` holds, without a slash at its end. Raises MissingSecret or BadSecret."""
    address = resolve(text, secrets).rstrip("/")
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or parts.query or parts.fragment or "@" in parts.netloc:
        raise BadSecret(text.removeprefix(PREFIX), "应为 http:// 或 https:// 地址，不带用户名、参数和片段")
    return address


def is_named(value: object) -> bool:
    """Whether this is `env:NAME`."""
    return isinstance(value, str) and NAMED.fullmatch(value) is not None


def names_in(mapping: SourceMapping) -> list[str]:
    """The variables a source needs, those in its request templates included; in the order of the alphabet."""
    places = [mapping.connect, *(operation.written.request for operation in mapping.operations.values())]
    return sorted({text.removeprefix(PREFIX) for place in places for text in _texts(place) if is_named(text)})


def require(mapping: SourceMapping, secrets: Secrets) -> None:
    """Raises MissingSecret with every variable that the source needs and that is not set."""
    if missing := [name for name in names_in(mapping) if not secrets.get(name)]:
        raise MissingSecret(*missing)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseModel):
        yield from _texts(dict(value))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from _texts(item)
