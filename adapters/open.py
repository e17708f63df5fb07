"""Opens the source that a mapping describes."""

import time
from collections.abc import Callable

from adapters.http import AiohttpClient, HttpxClient
from adapters.mapping.model import SourceMapping
from adapters.mapping.written import PlatformConnect, RestConnect, SoapConnect, SqlConnect
from adapters.platform import PlatformSource
from adapters.rest import RestSource
from adapters.secrets import Secrets, require
from adapters.soap import SoapSource
from adapters.source import Source
from adapters.sql import SqlSource


def open_source(mapping: SourceMapping, secrets: Secrets, now: Callable[[], float] = time.time) -> Source:
    """The source, not yet connected. `now` gives seconds since 1970, for platforms that sign with the time.

    Raises MissingSecret, BadSecret, or Problems when a WSDL or table does not fit the mapping.
    """
    require(mapping, secrets)
    match mapping.connect:
        case RestConnect() as connect:
            return RestSource(mapping, connect, secrets, AiohttpClient(connect.concurrency))
        case PlatformConnect() as connect:
            http = AiohttpClient(connect.concurrency)
            return PlatformSource(mapping, connect, secrets, http, HttpxClient(), now)
        case SoapConnect() as connect:
            return SoapSource(mapping, connect, secrets, AiohttpClient(connect.concurrency))
        case SqlConnect() as connect:
            return SqlSource(mapping, connect, secrets)
