"""Bodies of deliveries, plain or gzip, with an end to what they may become: refused while it grows, not after."""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from adapters.errors import SourceContractBroken
from adapters.inflate import UNPACKED_AT_ONCE, Inflater

ENCODINGS = ("identity", "gzip")
HIGHEST_RATIO = 200
"""How many times larger a body may unpack; tables of text stay below 50."""
SMALL = 4 * 1024 * 1024
"""Bytes that may come of however few."""
CHUNK = 256 * 1024


class TooLarge(Exception):
    """交付的内容超过大小上限"""


class BadEncoding(Exception):
    """压缩的内容已损坏或不完整"""


class Unpacking:
    """Unpacks a body piece by piece. Raises TooLarge or BadEncoding."""

    def __init__(self, encoding: str, largest: int) -> None:
        self.inflater = Inflater("gzip", largest + 2 * UNPACKED_AT_ONCE) if encoding == "gzip" else None
        self.largest, self.taken, self.given = largest, 0, 0

    def parts(self, chunk: bytes) -> Iterator[bytes]:
        """What these bytes become, in parts that are not large."""
        self.taken += len(chunk)
        if self.taken > self.largest:
            raise TooLarge(f"{TooLarge.__doc__}（{self.largest} 字节）")
        if self.inflater is None:
            yield chunk
            return
        try:
            for part in self.inflater.parts(chunk):
                self.given += len(part)
                if self.given > self.largest:
                    raise TooLarge(f"解压后超过大小上限（{self.largest} 字节）")
                if self.given > SMALL and self.given > HIGHEST_RATIO * self.taken:
                    raise TooLarge(f"解压后是压缩时的 {HIGHEST_RATIO} 倍以上，疑为压缩炸弹")
                yield part
        except (SourceContractBroken, zlib.error):
            raise BadEncoding(BadEncoding.__doc__) from None

    def finish(self) -> None:
        """There is no more."""
        if self.inflater is not None:
            try:
                self.inflater.finish()
            except SourceContractBroken:
                raise BadEncoding(BadEncoding.__doc__) from None


def unpack(source: BinaryIO, target: BinaryIO, encoding: str, largest: int) -> None:
    """A whole body, unpacked."""
    unpacking = Unpacking(encoding, largest)
    while chunk := source.read(CHUNK):
        for part in unpacking.parts(chunk):
            target.write(part)
    unpacking.finish()
