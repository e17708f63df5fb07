"""What was heard of sources before a plan is run."""

from adapters.errors import SourceError
from adapters.source import Page

Heard = dict[tuple[str, str, tuple[str, ...]], Page | SourceError]
"""Source, operation and the keys in the order they were asked for -> the answer, or the failure."""
