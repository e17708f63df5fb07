"""The headers of one request, read once: Starlette's own go through all of them at each look."""

from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request


class HeadersReadOnce(Headers):
    """Headers by their names in lower case; of several with one name the first, all of them by `getlist`."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        super().__init__(raw=raw)
        self._first = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(raw)}

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default`."""
        return self._first.get(key, default)

    def __getitem__(self, key: str) -> str:
        return self._first[key]

    def __contains__(self, key: object) -> bool:
        return key in self._first


class HttpRequest(Request):
    """A request whose headers are HeadersReadOnce."""

    _read: HeadersReadOnce | None = None

    @property
    def headers(self) -> HeadersReadOnce:
        """The headers."""
        if self._read is None:
            self._read = HeadersReadOnce(self.scope["headers"])
        return self._read
