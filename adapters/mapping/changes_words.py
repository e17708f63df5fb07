"""The words of the mapping language for data return: what moved in a source, how often to ask, and when to stop for a person."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from adapters.mapping.limits import Duration, Written, seconds
from adapters.mapping.words import Is, listed

PAUSE = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def _overlap(text: object) -> object:
    return int(str(text)) if re.fullmatch(r"\d+", str(text)) else seconds(text)


def _pause(text: str) -> str:
    if not PAUSE.fullmatch(text) or text[:5] == text[6:]:
        raise ValueError(f"“{text}” 不是时段（例：02:00-05:30；跨夜写 23:00-01:00）")
    return text


Overlap = Annotated[int | float, BeforeValidator(_overlap)]
Pauses = Annotated[list[Annotated[str, AfterValidator(_pause)]], BeforeValidator(listed)]


class Reconcile(Written):
    """How often everything is compared with the source, in slices by an element or a reference: `filed_date` in months, others,
    such as a division or `agency`, by value."""

    every: Duration = 86400.0
    by: str | None = None


class Changes(Written):
    """What moved since a cursor. `cursor` is a mapped field; `overlap` is how far back to read again: a duration for times,
    a number for numbers. `ascending`: the source promises records in the order of the cursor.

    `every` is how often to ask, except in `pauses` (China time); a page with a larger part of bad records than `most_bad`
    percent stops the stream, and so does a reconciliation that would delete more than `most_gone` percent.
    """

    entity: str
    cursor: str
    overlap: Overlap = 0.0
    ascending: bool = False
    deleted: Is | None = None
    every: Duration = 600.0
    pauses: Pauses = []
    most_bad: int = Field(default=30, ge=0, le=100)
    most_gone: int = Field(default=2, ge=0, le=100)
    reconcile: Reconcile = Reconcile()
