"""Opens the source that a mapping describes. What a kind needs is imported when the first source of that kind is opened:
to prove what is written down takes no driver, no HTTP client and no WSDL library, and these are most of the imports."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from adapters.mapping.model import SourceMapping
from adapters.mapping.written import PlatformConnect, RestConnect, SoapConnect, SqlConnect
from adapters.secrets import Secrets, require
from adapters.source import Source

if TYPE_CHECKING:
    from adapters.http import HttpClient


def open_source(mapping: SourceMapping, secrets: Secrets, now: Callable[[], float] = time.time) -> Source:
    """The source, not yet connected. `now` gives seconds since 1970, for platforms that sign with the time.

    Raises MissingSecret, BadSecret, or Problems when a WSDL or table does not fit the mapping.
    """
    require(mapping, secrets)
    match mapping.connect:
        case RestConnect() as connect:
            from adapters.rest import RestSource

            return RestSource(mapping, connect, secrets, _http(connect))
        case PlatformConnect() as connect:
            from adapters.http import HttpxClient
            from adapters.platform import PlatformSource

            http = _http(connect)
            return PlatformSource(mapping, connect, secrets, http, HttpxClient(), now)
        case SoapConnect() as connect:
            from adapters.soap import SoapSource

            return SoapSource(mapping, connect, secrets, _http(connect))
        case SqlConnect() as connect:
            from adapters.sql import SqlSource

            return SqlSource(mapping, connect, secrets)


def _http(connect: RestConnect | PlatformConnect | SoapConnect) -> "HttpClient":
    from adapters.http import AiohttpClient

    return AiohttpClient(connect.concurrency, connecting=connect.connect_timeout, reading=connect.read_timeout)
