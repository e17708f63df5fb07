"""Keys that stand twice in an object of JSON: nothing says which of the values holds, and msgspec keeps the last in silence.

With blanks taken out, every member of an object shows `":` in the text. A string may hold the same two characters (as
`\\":`), so their number is at least the number of members; the number of keys in the tree is at most that. When both
numbers are equal, no key was lost; when they are not, Python's own decoder has to say, with `distinct`.
"""

from typing import Any

BLANKS = b" \t\n\r"


class DoubledKey(ValueError):
    """JSON 的键重复"""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def may_have_doubled(data: bytes, keys: int) -> bool:
    """Whether a key may stand twice in this text, of which so many keys were read: suspects too much, but never too little."""
    return keys != data.translate(None, BLANKS).count(b'":')


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object with these members; what `json` calls an `object_pairs_hook`. Raises DoubledKey."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DoubledKey
    return found
