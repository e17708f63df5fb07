"""Bytes become text: by what is declared, then strict UTF-8, then GB18030. U+FFFD is never made.

GB2312 and GBK are read as GB18030, which contains them: names such as 𠮷 and 䶮 arrive under all three labels.
Labels that cannot carry Chinese (ISO-8859-1, which Java servers put on everything) say nothing and are passed over.
A GB label on bytes that are UTF-8 is a lie that decoding alone would not notice; see `_is_utf8_after_all`.
"""

import codecs
import re
from functools import lru_cache

from adapters.errors import SourceContractBroken

CODECS = {
    "utf-8": "utf-8",
    "ascii": "utf-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5",
    "big5hkscs": "big5hkscs",
    "utf-16": "utf-16",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
}
"""Python's name of a label -> the codec that reads it."""

BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
IN_CONTENT_TYPE = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
CHINESE = re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]")
IN_XML = re.compile(rb"""\s{0,99}<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")


def to_text(data: bytes, *labels: str | None) -> str:
    """The text in `data`; `labels` in the order they are believed. Raises SourceContractBroken when none reads it."""
    marked = next(((mark, codec) for mark, codec in BOMS if data.startswith(mark)), None)
    if marked:
        data, candidates = data[len(marked[0]) :], [marked[1]]
    else:
        candidates = [*(codec for label in labels if (codec := _codec(label))), "utf-8", "gb18030"]
    for codec in dict.fromkeys(candidates):
        text = _strict(data, codec)
        if text is not None and not (codec == "gb18030" and _is_utf8_after_all(data, text)):
            return text
    raise SourceContractBroken("答复的文字编码无法识别")


def is_utf8_first(*labels: str | None) -> bool:
    """Whether UTF-8 is what the labels make `to_text` try first, for bytes without a mark of their own."""
    return next((codec for label in labels if (codec := _codec(label))), "utf-8") == "utf-8"


@lru_cache(maxsize=256)
def charset_in(content_type: str | None) -> str | None:
    """The `charset` of a Content-Type."""
    found = IN_CONTENT_TYPE.search(content_type or "")
    return found[1] if found else None


def charset_in_xml(data: bytes) -> str | None:
    """The `encoding` of an XML declaration."""
    found = IN_XML.match(data)
    return found[1].decode() if found else None


def _codec(label: str | None) -> str | None:
    try:
        return CODECS.get(codecs.lookup(label.removeprefix("x-")).name) if label else None
    except LookupError:
        return None


def _strict(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return None


def _is_utf8_after_all(data: bytes, as_gb: str) -> bool:
    """Whether UTF-8 reads these bytes too, and that is what they are.

    It is where UTF-8 finds Chinese: GB text that happens to be good UTF-8 is pairs of bytes, which UTF-8 reads as Greek,
    Cyrillic and the like; for a Chinese character it would have to begin with a rare one and go on just so. It also is
    where the GB reading leaves GB 2312, as it does for most other UTF-8.
    """
    if as_gb.isascii() or (as_utf8 := _strict(data, "utf-8")) is None:
        return False
    if CHINESE.search(as_utf8):
        return True
    try:
        as_gb.encode("gb2312")
    except UnicodeEncodeError:
        return True
    return False
