"""What sources are now, against what their mappings say: asked on demand, never needed to start."""

import asyncio
from collections.abc import Mapping
from typing import Protocol, cast

from adapters.errors import SourceError
from adapters.mapping.model import SourceMapping
from adapters.open import open_source
from adapters.secrets import Secrets

PATIENCE = 20.0
"""Seconds for one source."""


class Comparable(Protocol):
    """A source that can tell how it differs from its mapping."""

    async def differences(self, timeout: float) -> list[str]:
        """In words, each with what to look at; empty when nothing differs. Raises SourceError when it cannot be asked."""
        ...


async def live_differences(mappings: Mapping[str, SourceMapping], secrets: Secrets) -> list[str]:
    """What differs, source by source; one that cannot be asked is told like a difference."""
    found = await asyncio.gather(*(_of(mapping, secrets) for mapping in mappings.values()))
    return [f"{name}：{difference}" for name, told in zip(mappings, found, strict=True) for difference in told]


async def _of(mapping: SourceMapping, secrets: Secrets) -> list[str]:
    source = open_source(mapping, secrets)
    try:
        return await cast(Comparable, source).differences(PATIENCE) if hasattr(source, "differences") else []
    except SourceError as error:
        return [error.public_message]
    finally:
        await source.aclose()
