"""Calls as the settings have them."""

from collections.abc import Mapping

from adapters.mapping.model import SourceMapping
from adapters.source import Source
from gateway.engine.calls import Calls
from gateway.engine.calls.shared import Shared
from gateway.settings import Settings


def open_calls(sources: Mapping[str, Source], mappings: Mapping[str, SourceMapping], settings: Settings) -> Calls:
    """Calls to these sources, within limits that are shared with other replicas where there is a Redis."""
    redis = str(settings.redis_url)
    return Calls(
        sources,
        mappings,
        Shared(redis) if redis else None,
        str(settings.party_key_secret).encode(),
        settings.cache_entries,
        settings.cache_bytes,
    )
