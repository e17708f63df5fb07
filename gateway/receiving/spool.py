"""Uploads on their way in: each a folder with what is known of it and the bytes so far, which outlive the process.

`<id>/about.json` says whose it is; `<id>/sent` grows as bytes arrive, exactly as they were sent; `<id>/content` is what they
unpack to, there once all of them have come. Of what has gone into the store only `about.json` stays, until it expires.
"""

import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import msgspec

from adapters.mapping.delivered import FileFormat

IDENTIFIER = re.compile(r"[0-9a-f]{32}")
EXPIRY = 24 * 3600.0
"""Seconds for which an upload that does not go on is kept."""


class UploadLocked(Exception):
    """这次上传正由另一个请求写入"""


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload: for which operation, under which key, in which form; `length` is how many bytes will be sent. `is_new`: its
    receipt was made for it, and not for another with the same content before."""

    id: str
    source: str
    operation: str
    key: str
    form: FileFormat
    name: str
    encoding: str
    length: int | None
    created_at: float
    receipt: str | None = None
    refusal: str | None = None
    is_new: bool = False


class Spool:
    """The uploads of one folder. May be used by many processes of one machine."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder, self.clock = folder, clock

    def create(
        self, source: str, operation: str, key: str, form: FileFormat, name: str, encoding: str, length: int | None
    ) -> Upload:
        """A new upload with nothing in it."""
        upload = Upload(secrets.token_hex(16), source, operation, key, form, name, encoding, length, self.clock())
        place = self.folder / upload.id
        place.mkdir(parents=True, mode=0o700)
        (place / "sent").touch(0o600)
        self.note(upload)
        return upload

    def note(self, upload: Upload) -> None:
        """Remember what is known of an upload, whole or not at all."""
        new = self.folder / upload.id / "about.new"
        new.write_bytes(msgspec.json.encode(upload))
        os.replace(new, self.folder / upload.id / "about.json")

    def read(self, identifier: str) -> Upload | None:
        """The upload of this identifier; None when there is none, or it has expired."""
        if not IDENTIFIER.fullmatch(identifier):
            return None
        try:
            found = msgspec.json.decode((self.folder / identifier / "about.json").read_bytes(), type=Upload)
        except (OSError, msgspec.MsgspecError):
            return None
        return None if self.is_expired(found) else found

    def offset(self, upload: Upload) -> int:
        """How many bytes have come."""
        if self.is_complete(upload) or upload.receipt or upload.refusal:
            return upload.length or 0
        with suppress(OSError):
            return self.sent(upload).stat().st_size
        return 0

    def sent(self, upload: Upload) -> Path:
        """Where bytes go as they come."""
        return self.folder / upload.id / "sent"

    def content(self, upload: Upload) -> Path:
        """Where the whole content is, once it is complete."""
        return self.folder / upload.id / "content"

    def is_complete(self, upload: Upload) -> bool:
        """Whether all of it has come, and waits to be taken in."""
        return self.content(upload).is_file()

    @contextmanager
    def appending(self, upload: Upload) -> Iterator[BinaryIO]:
        """The file to append to, for one writer at a time. Raises UploadLocked."""
        with self.sent(upload).open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UploadLocked from None
            yield file

    def settle(self, upload: Upload, receipt: str | None, refusal: str | None = None) -> Upload:
        """It is over: its bytes are let go of, and it says where its receipt is."""
        told = replace(upload, receipt=receipt, refusal=refusal)
        self.note(told)
        for file in (self.sent(upload), self.content(upload)):
            file.unlink(missing_ok=True)
        return told

    def remove(self, upload: Upload) -> None:
        """Forget it."""
        shutil.rmtree(self.folder / upload.id, ignore_errors=True)

    def uploads(self) -> list[Upload]:
        """Everything there is; what has expired is forgotten on the way."""
        found: list[Upload] = []
        if not self.folder.is_dir():
            return found
        for place in sorted(self.folder.iterdir()):
            upload = self.read(place.name)
            if upload is not None:
                found.append(upload)
            elif IDENTIFIER.fullmatch(place.name) and self._is_old(place):
                shutil.rmtree(place, ignore_errors=True)
        return found

    def is_expired(self, upload: Upload) -> bool:
        """Whether nobody went on with it for too long; what is complete does not expire before it is taken in."""
        if self.is_complete(upload):
            return False
        latest = upload.created_at
        with suppress(OSError):
            latest = max(latest, self.sent(upload).stat().st_mtime)
        return self.clock() - latest > EXPIRY

    def _is_old(self, place: Path) -> bool:
        with suppress(OSError):
            return self.clock() - place.stat().st_mtime > EXPIRY and not (place / "content").exists()
        return False
