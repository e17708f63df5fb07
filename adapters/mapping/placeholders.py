"""What may stand in a request for something that a call brings."""

import re

from adapters.mapping.written import PLACEHOLDERS

FILTER = re.compile(r"\$([a-z][a-z0-9_]*)\.(eq|in|gte|lte|prefix|contains)")
"""What a filter of a search stands for in its request: `$case_status.in`, `$filed_date.gte`."""


def is_placeholder(text: str) -> bool:
    """Whether the text stands for something that a call brings."""
    return text in PLACEHOLDERS or FILTER.fullmatch(text) is not None
