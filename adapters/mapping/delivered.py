"""The words for what its owner delivers, in files or by requests, instead of being asked for it."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from adapters.mapping.limits import Connect, Written
from adapters.mapping.words import Is, Texts, listed, size

FileFormat = Literal["csv", "xlsx", "json", "ndjson"]
Formats = Annotated[list[FileFormat], BeforeValidator(listed), Field(min_length=1)]
FileSize = Annotated[int, BeforeValidator(size), Field(ge=1024, le=8 * 1024**3)]


class FileConnect(Connect):
    """Files that the agency delivers; nobody calls it. `formats` are those it may deliver, told by the ending of the name.

    `charset` and `delimiter` are those of its CSV; a byte order mark is believed before `charset`. JSON is always UTF-8.
    `max_bytes`: the largest file, unpacked as well.
    """

    kind: Literal["file"]
    formats: Formats = ["csv", "xlsx", "json", "ndjson"]
    charset: Literal["utf-8", "gb18030"] = "utf-8"
    delimiter: Literal[",", ";", "|", "tab"] = ","
    max_bytes: FileSize = 512 * 1024 * 1024


class Deliver(Written):
    """What the owner delivers becomes `entity`; `deleted` tells which records say that theirs is gone."""

    entity: str
    deleted: Is | None = None


class Layout(Written):
    """How the files of an operation are laid out: which `names` they have (`*` stands for anything), the `sheet` of a workbook,
    and the row of the sheet or line of the CSV that holds the names of the columns (`header`).
    """

    names: Texts = ["*"]
    sheet: str | None = None
    header: int = Field(default=1, ge=1, le=100)
