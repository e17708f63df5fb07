"""A mistake in a specification, a mapping or a setting, told so that its author can mend it."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]
LIKE_ENOUGH, AS_GOOD = 0.6, 0.1
"""How alike (0 to 1) a word must be to be suggested, and how much less alike than the best a second one may be."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake; prints as `file:line:col: path: what — suggestion`. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    path: str
    what: str
    suggestion: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " + (f"{self.path}: " if self.path else "")
        return f"{place}{self.what}" + (f" — {self.suggestion}" if self.suggestion else "")


class Problems(Exception):
    """Everything that is wrong, at once; raised at start-up, so that nothing runs on a broken definition."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion for a misspelt word, or the short list of what is allowed, or nothing."""
    choices = sorted(set(known))
    likeness = {choice: difflib.SequenceMatcher(None, word, choice).ratio() for choice in choices}
    best = max(likeness.values(), default=0.0)
    if best >= LIKE_ENOUGH:
        close = sorted((c for c in choices if likeness[c] > best - AS_GOOD), key=lambda c: -likeness[c])[:3]
        return f"是否应为 {' / '.join(close)}？（did you mean {' / '.join(close)}?）"
    return f"可用：{'、'.join(choices)}" if 0 < len(choices) <= 12 else ""


def dotted(path: Path) -> str:
    """A path as people write it: `entities.Party.key[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
