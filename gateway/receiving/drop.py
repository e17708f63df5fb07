"""The drop folder 投递文件夹: files put there are taken in, each once, and put away with their receipts.

`<folder>/<file>` is waiting; `.working/` is being taken in; `done/` and `refused/` have the files, under their digest and name,
with `<file>.receipt.json` beside them. A file that was taken in before changes nothing, and is told so.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from adapters.file import format_of, operation_of_file
from adapters.file_rows import Unreadable
from adapters.mapping.model import SourceMapping
from gateway.receiving.content import digest_of, file_content
from gateway.receiving.printed import receipt_as_json, receipt_as_text
from gateway.receiving.receive import Receiver
from gateway.store.receipts import Receipt

UNFINISHED = (".tmp", ".part", ".crdownload", ".filepart")
"""Endings of files that are still being written."""
SETTLING = 2.0
"""Seconds for which a file has to be left alone before it is taken."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one file; `receipt` is None where nobody could say what it belongs to. `is_over`: nothing is pending."""

    name: str
    told: str
    receipt: Receipt | None
    is_over: bool

    @property
    def is_good(self) -> bool:
        """Whether all of it is in."""
        return self.receipt is not None and self.receipt.status == "done"


def deliver_file(
    receiver: Receiver, mapping: SourceMapping, file: Path, operation: str | None = None, key: str | None = None
) -> Taken:
    """Take in one file; its key is its digest, unless one is given. Raises KeyReused, and what the store raises."""
    try:
        form = format_of(mapping, file.name)
        what = mapping.operations[operation] if operation else operation_of_file(mapping, file.name)
    except Unreadable as error:
        return Taken(file.name, f"{file.name}：不收，{error}", None, True)
    content = file_content(mapping, what, file, form)
    receipt = receiver.receive(mapping, what, content, key or f"file-{content.digest}")
    return Taken(file.name, f"{file.name}：{receipt_as_text(receipt)}", receipt, receipt.status != "pending")


def take_drop(
    receiver: Receiver,
    mapping: SourceMapping,
    folder: Path,
    clock: Callable[[], float] = time.time,
) -> Iterator[Taken]:
    """Take in what is waiting in a source's folder, in the order of names."""
    folder.mkdir(parents=True, exist_ok=True)
    working = folder / ".working"
    working.mkdir(exist_ok=True)
    for file in sorted(folder.iterdir()):
        if _is_ready(file, clock()):
            os.replace(file, working / file.name)
    for file in sorted(working.iterdir()):
        if not file.is_file() or file.is_symlink():
            continue
        taken = deliver_file(receiver, mapping, file)
        if taken.is_over:
            _put_away(folder, file, taken)
        yield taken


def _is_ready(file: Path, now: float) -> bool:
    """A plain file that nobody writes to any more. What a link leads to might be anything, and is never read."""
    if file.is_symlink() or not file.is_file() or file.name.startswith(".") or file.name.lower().endswith(UNFINISHED):
        return False
    return now - file.stat().st_mtime >= SETTLING


def _put_away(folder: Path, file: Path, taken: Taken) -> None:
    place = folder / ("done" if taken.is_good else "refused")
    place.mkdir(exist_ok=True)
    name = f"{digest_of(file)[:12]}-{file.name}"
    told = receipt_as_json(taken.receipt) if taken.receipt else {"status": "refused", "refusal": taken.told}
    (place / f"{name}.receipt.json").write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2))
    os.replace(file, place / name)
