"""A copy of the specification that a test may spoil, and where in it the spoilt places are."""

import shutil
from pathlib import Path

import pytest

from schema.load import load_registry
from schema.problems import Problems
from schema.registry import SPEC_FOLDER


class Copy:
    """A copy of the specification that a test may spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(shutil.copytree(SPEC_FOLDER, folder / "schema" / "spec"))

    def file(self, stem: str) -> Path:
        (file,) = self.folder.rglob(f"{stem}.yaml")
        return file

    def replace(self, stem: str, right: str, wrong: str, behind: str = "") -> None:
        """Puts `wrong` where `right` stands: its only place, or the first one behind `behind`, which is there once."""
        text = self.file(stem).read_text(encoding="utf-8")
        head, mark, tail = text.rpartition(behind) if behind else ("", "", text)
        assert right in tail, f"{stem}: {right}"
        assert text.count(behind or right) == 1, f"{stem}: {behind or right}"
        self.file(stem).write_text(head + mark + tail.replace(right, wrong, 1), encoding="utf-8")

    def at(self, stem: str, *texts: str) -> str:
        """Where the last of `texts` stands, each looked for behind the one before: `schema/spec/…:line:col`."""
        whole, found = self.file(stem).read_text(encoding="utf-8"), 0
        for text in texts:
            found = whole.index(text, found)
        before = whole[:found]
        shown = self.file(stem).relative_to(self.folder.parents[1])
        return f"{shown}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"

    def problems(self) -> list[str]:
        with pytest.raises(Problems) as caught:
            load_registry(self.folder)
        return [str(problem) for problem in caught.value.problems]


def meant(*words: str) -> str:
    return f"是否应为 {' / '.join(words)}？（did you mean {' / '.join(words)}?）"
