"""Document numbers 文号: one normal form for the many brackets and digits that offices type."""

import re
import string

FULL_WIDTH = {ord(letter) + 0xFEE0: letter for letter in string.digits + string.ascii_letters + "-"}
UNSEEN = re.compile("[\\s\u200b-\u200d\u2060\ufeff]+")
YEAR = re.compile(r"[〔﹝［\[【〖（(]([0-9]{4})[〕﹞］\]】〗）)]")


def normal_doc_no(text: str) -> str:
    """`闽滨市监罚【２０２４】12 号` as `闽滨市监罚〔2024〕12号`: 〔〕 around a year, ASCII digits, no spaces (domain.md §2.4).

    The normal form of a normal form is itself.
    """
    return YEAR.sub(r"〔\1〕", UNSEEN.sub("", text.translate(FULL_WIDTH)))
