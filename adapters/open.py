"""Opens the source that a mapping describes. What a kind needs is imported when the first source of that kind is opened:
to prove what is written down takes no driver, no HTTP client and no WSDL library, and these are most of the imports."""

import time
from collections.abc import Callable
from dataclasses import replace

from adapters.mapping.delivered import FileConnect
from adapters.mapping.model import SourceMapping
from adapters.mapping.written import PlatformConnect, RestConnect, SoapConnect, SqlConnect
from adapters.secrets import Secrets, require
from adapters.source import Source


def open_source(mapping: SourceMapping, secrets: Secrets, now: Callable[[], float] = time.time) -> Source:
    """The source, not yet connected. `now` gives seconds since 1970, for platforms that sign with the time.

    Raises MissingSecret, BadSecret, or Problems when a WSDL or table does not fit the mapping.
    """
    require(mapping, secrets)
    match mapping.connect:
        case RestConnect() as connect:
            from adapters.rest import RestSource
            from adapters.wire import http_client, wire

            http = http_client(wire(connect, connect.base_url, secrets), connect.client)
            return RestSource(mapping, connect, secrets, http)
        case PlatformConnect() as connect:
            from adapters.platform import PlatformSource
            from adapters.wire import http_client, wire

            reached = wire(connect, connect.base_url, secrets)
            http, rare = http_client(reached, connect.client), http_client(replace(reached, connections=2), "httpx")
            return PlatformSource(mapping, connect, secrets, http, rare, now)
        case SoapConnect() as connect:
            from adapters.soap import SoapSource
            from adapters.wire import http_client, wire

            return SoapSource(
                mapping, connect, secrets, http_client(wire(connect, connect.endpoint, secrets), connect.client)
            )
        case SqlConnect() as connect:
            from adapters.sql import SqlSource

            return SqlSource(mapping, connect, secrets)
        case FileConnect():
            from adapters.file import FileSource

            return FileSource()
