"""Keys to look for in a database, as one parameter: however many there are, the statement stays the same."""

from collections.abc import Iterable, Sequence

import msgspec

from schema.formats import UNSTORABLE


class Keys(list[str]):
    """Texts that `storable` gave; written for the database once, however often it is asked for them."""

    __slots__ = ("array", "json")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        super().__init__(texts)
        self.array: str | None = None
        self.json: str | None = None


def storable(texts: Iterable[str]) -> Keys:
    """Each text once, in order, without those that no database can keep: no row can have them. Sources mostly tell them in
    order, which makes sorting easy."""
    if isinstance(texts, Keys):
        return texts
    kept = sorted(dict.fromkeys(texts))
    if UNSTORABLE.search("\n".join(kept)):
        kept = [text for text in kept if not UNSTORABLE.search(text)]
    return Keys(kept)


def json_array(texts: Keys) -> str:
    """An array of texts as SQLite reads it."""
    if texts.json is None:
        texts.json = msgspec.json.encode(texts).decode()
    return texts.json


def array(texts: Keys) -> str:
    """An array of texts as PostgreSQL reads it; the driver would take longer to write it than the server to use it."""
    if texts.array is None:
        texts.array = _written_array(texts)
    return texts.array


def _written_array(texts: Sequence[str]) -> str:
    block = '","'.join(texts)
    if "\\" in block or block.count('"') != 2 * max(0, len(texts) - 1):
        block = '","'.join(text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return f'{{"{block}"}}' if texts else "{}"
