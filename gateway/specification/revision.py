"""A specification as a command names it: a folder, or what the folder was in a revision of git (`git:HEAD~1`)."""

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schema.registry import SPEC_FOLDER

PREFIX = "git:"


class NoRevision(Exception):
    """The revision, or the specification in it, is not to be had."""


@contextmanager
def specification_at(text: str, repository: Path = SPEC_FOLDER) -> Iterator[Path]:
    """The folder that `text` names; what `repository` was in a revision is unpacked for the time of the block.

    Raises NoRevision.
    """
    if not text.startswith(PREFIX):
        yield Path(text)
        return
    commit = _git(
        repository, "rev-parse", "--verify", "--quiet", "--end-of-options", text.removeprefix(PREFIX) + "^{commit}"
    )
    if not commit:
        raise NoRevision(f"没有修订版 “{text.removeprefix(PREFIX)}”")
    root = Path(_git(repository, "rev-parse", "--show-toplevel").decode().strip())
    inside = repository.resolve().relative_to(root).as_posix()
    archive = _git(root, "archive", "--format=tar", commit.decode().strip(), inside)
    if not archive:
        raise NoRevision(f"修订版 “{text.removeprefix(PREFIX)}” 中没有 {inside}")
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(archive)) as files:
        unpack(files, Path(folder))
        yield Path(folder) / inside


def unpack(files: tarfile.TarFile, folder: Path) -> None:
    """Plain files only, and none outside: as `extractall(filter="data")`, which Python has since 3.11.4."""
    for member in files:
        target = (folder / member.name).resolve()
        content = files.extractfile(member) if member.isreg() and target.is_relative_to(folder.resolve()) else None
        if content is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.read())


def _git(folder: Path, *arguments: str) -> bytes:
    """What git answers in a folder; nothing when it refuses."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    except OSError as error:
        raise NoRevision(f"没有可用的 git：{error}") from error
    return done.stdout if done.returncode == 0 else b""
