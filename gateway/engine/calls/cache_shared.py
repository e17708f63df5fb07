"""The same short answers for all replicas, in Redis: sealed, so that what somebody else wrote there is no answer.

Records are kept as sources sent them, before masking; in Redis that is only allowed because nobody can read them there.
"""

import hashlib
import hmac
import os
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.mapping.limits import Cache as Limits
from adapters.source import Record
from gateway.engine.calls.cache import Held
from gateway.engine.calls.shared import Shared, SharedIsDown

if TYPE_CHECKING:
    from redis.asyncio import Redis

Asked = TypeVar("Asked", bound=Hashable)
NONCE = 12
LARGEST = 512 * 1024
"""Bytes of one value; larger ones stay in the process that has them."""


class _Value(msgspec.Struct, array_like=True):
    """What a value holds; read strictly, so that an older or newer form is a miss."""

    form: int
    received_at: datetime
    size: int
    records: list[tuple[int, dict[str, object]]]


FORM = 1


class SharedCache:
    """`secret` seals names and values; replicas with another secret see nothing."""

    def __init__(self, shared: Shared, secret: bytes) -> None:
        self._shared = shared
        self._names = hmac.digest(secret, b"gateway call cache: names", "sha256")
        self._values = hmac.digest(secret, b"gateway call cache: values", "sha256")
        self._decode = msgspec.json.Decoder(_Value).decode

    async def get(self, questions: Mapping[Asked, Sequence[str]]) -> dict[Asked, Held]:
        """What is held for each question (key -> what identifies it). Never raises: what cannot be read is not there."""
        names = {key: self._name(question) for key, question in questions.items()}
        try:
            found = await self._shared.ask(lambda redis: redis.mget(list(names.values())))
        except SharedIsDown:
            return {}
        held = {
            key: self._open(name, sealed) for (key, name), sealed in zip(names.items(), found, strict=True) if sealed
        }
        return {key: one for key, one in held.items() if one is not None}

    async def put(self, answers: Sequence[tuple[Sequence[str], Held]], limits: Limits) -> None:
        """Hold them for as long as they may be used. Never raises."""
        sealed = []
        for question, held in answers:
            name = self._name(question)
            value, ttl = self._seal(name, held), _ttl(held, limits)
            if value is not None and ttl > 0:
                sealed.append((name, value, ttl))

        async def write(redis: "Redis") -> list[object]:
            async with redis.pipeline(transaction=False) as pipeline:
                for name, value, ttl in sealed:
                    pipeline.set(name, value, px=ttl)
                return await pipeline.execute()

        if sealed:
            try:
                await self._shared.ask(write)
            except SharedIsDown:
                return

    def _name(self, question: Sequence[str]) -> str:
        """Keys may be numbers of persons: a name tells nothing of them."""
        text = msgspec.json.encode(question)
        return "gateway:answer:" + hmac.new(self._names, text, hashlib.sha256).hexdigest()[:40]

    def _seal(self, name: str, held: Held) -> bytes | None:
        try:
            text = msgspec.json.encode((FORM, held.received_at, held.size, held.records))
        except (TypeError, ValueError):
            return None
        if len(text) > LARGEST:
            return None
        nonce = os.urandom(NONCE)
        return nonce + self._cipher(name).encrypt(nonce, text, name.encode())

    def _open(self, name: str, sealed: object) -> Held | None:
        """The answer in a value; None for anything that we did not seal under this very name."""
        if not isinstance(sealed, bytes) or len(sealed) > LARGEST + 100:
            return None
        try:
            text = self._cipher(name).decrypt(sealed[:NONCE], sealed[NONCE:], name.encode())
            value = self._decode(text)
        except (InvalidTag, ValueError, msgspec.DecodeError):
            return None
        if value.form != FORM or value.received_at.tzinfo is None:
            return None
        records: list[tuple[int, Record]] = [(place, record) for place, record in value.records]
        return Held(tuple(records), value.received_at, value.size)

    def _cipher(self, name: str) -> AESGCM:
        """A key for each name, so that random nonces never wear one out."""
        return AESGCM(hmac.digest(self._values, name.encode(), "sha256"))


def _ttl(held: Held, limits: Limits) -> int:
    """Milliseconds."""
    return int((limits.fresh + limits.stale if held.records else limits.negative) * 1000)
