"""gzip and deflate with a limit: what would grow beyond it is refused while it grows, not after."""

import zlib
from collections.abc import Iterator

from adapters.errors import SourceContractBroken

LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of one answer, after everything was unpacked."""

UNPACKED_AT_ONCE = 256 * 1024
"""Bytes; a few bytes of a bomb would otherwise become all of `limit` in one step."""

GZIP, ZLIB, RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Inflater:
    """Unpacks a stream piece by piece. Raises SourceContractBroken: no such stream, or beyond `limit` bytes."""

    def __init__(self, encoding: str, limit: int = LARGEST_ANSWER) -> None:
        self._window: int | None = {"gzip": GZIP, "x-gzip": GZIP, "deflate": ZLIB}.get(encoding)
        if self._window is None:
            raise SourceContractBroken(f"答复用了不支持的压缩方式 {encoding[:40]}")
        self._stream = zlib.decompressobj(self._window)
        self._left = limit
        self._has_begun = False

    def feed(self, data: bytes) -> bytes:
        """What these bytes become."""
        return b"".join(self.parts(data))

    def parts(self, data: bytes) -> Iterator[bytes]:
        """What these bytes become, in parts that are not large, so that whoever waits may do something in between."""
        is_full = False
        while data or is_full:
            if self._stream.eof:
                data, is_full = self._next_member(data), False
                continue
            piece = self._inflate(data)
            self._left -= len(piece)
            if self._left < 0:
                raise SourceContractBroken("答复解压后超过大小上限")
            is_full = len(piece) >= UNPACKED_AT_ONCE
            yield piece
            data = self._stream.unconsumed_tail or self._stream.unused_data

    def finish(self) -> None:
        """There is no more. Raises SourceContractBroken when the stream is not complete."""
        if not self._stream.eof:
            raise SourceContractBroken("压缩的答复不完整")

    def _inflate(self, data: bytes) -> bytes:
        try:
            piece = self._stream.decompress(data, min(self._left + 1, UNPACKED_AT_ONCE))
        except zlib.error:
            if self._window != ZLIB or self._has_begun:
                raise SourceContractBroken("答复的压缩数据已损坏") from None
            self._window = RAW  # “deflate” without its zlib header, as older servers send it
            self._stream = zlib.decompressobj(RAW)
            return self._inflate(data)
        self._has_begun = True
        return piece

    def _next_member(self, data: bytes) -> bytes:
        """gzip may consist of several members, and may be padded with zeros."""
        rest = data.lstrip(b"\0")
        if rest:
            if self._window != GZIP:
                raise SourceContractBroken("压缩数据之后还有内容")
            self._stream = zlib.decompressobj(GZIP)
        return rest


def gunzip(data: bytes, limit: int = LARGEST_ANSWER) -> bytes:
    """The content of a gzip file. Raises SourceContractBroken: none, not whole, or beyond `limit` bytes."""
    inflater = Inflater("gzip", limit)
    content = inflater.feed(data)
    inflater.finish()
    return content
