"""Document numbers 文号: one normal form for the many brackets and digits that offices type."""

import re

FULL_WIDTH = str.maketrans({chr(ord(digit) + 0xFEE0): digit for digit in "0123456789"})


def normal_doc_no(text: str) -> str:
    """`闽滨市监罚【２０２４】12 号` as `闽滨市监罚〔2024〕12号`: 〔〕 around a year, ASCII digits, no spaces (domain.md §2.4)."""
    ascii_digits = re.sub(r"\s+", "", text.translate(FULL_WIDTH))
    return re.sub(r"[［【\[(（﹝〔](\d{4})[］】\])）﹞〕]", lambda match: f"〔{match[1]}〕", ascii_digits)
