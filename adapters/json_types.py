"""JSON answers decoded straight into types made for what is read of them, by msgspec; every value read is a text or null.

Which members the objects of an answer have is learnt from one that was read in the general way (`parse_json`); from then on
answers of exactly that shape are decoded into Structs. Anything else is no matter of this module: it is read in the general
way again. So a strange answer costs time, and never a value.

What msgspec does in silence is found by counting: of a member that stands twice it keeps the last value only, and then there
are more quotation marks in the bytes than the members and texts in the Structs account for. Texts may hold more of them
(as `\\"`), or the word `null`; so the count can suspect too much, but never too little.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from adapters.xml_tree import MOST_VALUES

LARGEST = min(1024 * 1024, 2 * MOST_VALUES)
"""Bytes that are decoded at once, on the event loop."""
MOST_MISSES = 16
"""Answers in a row that are not of the shape learnt before another is learnt, MOST_SHAPES of them at most."""
MOST_SHAPES = 5


class Unlike(Exception):
    """The objects of one place do not have the same members, or not texts where texts are read."""


@dataclass(slots=True)
class Place:
    """A place in an answer that is read: a text, or an object with places inside; `many` where it is a list of them, None
    where only an answer can tell. `slot` is the attribute it is decoded into."""

    slot: str = ""
    many: bool | None = False
    inside: "dict[str, Place]" = field(default_factory=dict)

    def at(self, name: str, many: bool | None = False) -> "Place":
        """The place of a member, which is read from now on. Raises Unlike where somebody else reads it in another way."""
        found = self.inside.get(name)
        if found is None:
            found = self.inside[name] = Place(f"r{len(self.inside)}", many)
        if found.many is not many:
            raise Unlike
        return found


class JsonReader:
    """Reads the answers of one operation for one selection.

    Its records stand at `path`, the code that has to be one of `ok` at `outcome`; `record` is where who reads records says
    which of their places are read.
    """

    def __init__(self, path: Sequence[str], outcome: Sequence[str] = (), ok: Iterable[str] = ()) -> None:
        self._root = Place()
        self._ok = frozenset(ok)
        self._to_code: list[str] = []
        self._to_records: list[str] = []
        place = self._root
        for name in outcome:
            place = place.at(name)
            self._to_code.append(place.slot)
        place = self._root
        for number, name in enumerate(path, 1):
            place = place.at(name, None if number == len(path) else False)
            self._to_records.append(place.slot)
        self.record = place
        self._decoder: Any = None
        self._count: Callable[[Any], tuple[int, int, int]] | None = None
        self._misses = self._shapes = 0

    @property
    def is_learning(self) -> bool:
        """Whether it wants to see an answer that was read in the general way."""
        return self._decoder is None and self._shapes < MOST_SHAPES

    def learn(self, body: bytes) -> None:
        """Take the shape of an answer for that of those to come."""
        self._shapes += 1
        try:
            shape = _learn(self._root, [msgspec.json.decode(body)])
        except (Unlike, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        self._decoder, self._count, self._misses = msgspec.json.Decoder(shape.type), _counter(shape), 0

    def read(self, body: bytes) -> list[Any] | None:
        """The records, as Structs; None when the answer is to be read in the general way."""
        if self._decoder is None or len(body) > LARGEST:
            return None
        try:
            tree = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._miss()
        assert self._count is not None
        strings, nulls, quotes = self._count(tree)
        strings -= body.count(b"null") - nulls
        if body.count(b'"') - quotes != 2 * strings:
            return self._miss()
        if self._to_code:
            code = tree
            for slot in self._to_code:
                code = getattr(code, slot, None)
            if code is None or code.strip() not in self._ok:
                return None
        records = tree
        for slot in self._to_records:
            records = getattr(records, slot, None)
        if records is None:
            return None
        self._misses = 0
        return records if records.__class__ is list else [records]

    def _miss(self) -> list[Any] | None:
        """Nothing; after many of them another shape is learnt."""
        self._misses += 1
        if self._misses > MOST_MISSES and self._shapes < MOST_SHAPES:
            self._decoder = None
        return None


@dataclass(frozen=True, slots=True)
class _Shape:
    """A type for the objects of one place, the number of strings in one whose members are all texts, and the lines that count
    what differs: `s` strings, `n` nulls that stand for something else than a text, `q` quotation marks nobody reads."""

    type: type[msgspec.Struct]
    strings: int
    lines: list[str]


def _learn(place: Place, objects: Sequence[Any], depth: int = 0) -> _Shape:
    if not objects or not all(type(one) is dict for one in objects):
        raise Unlike
    names = objects[0].keys()
    if any(one.keys() != names for one in objects):
        raise Unlike
    fields: list[tuple[str, Any]] = []
    renamed: dict[str, str] = {}
    lines: list[str] = []
    strings = len(names)
    me, one = f"o{depth}", f"x{depth}"
    for number, name in enumerate(names):
        values = [value for each in objects if (value := each[name]) is not None]
        known = place.inside.get(name)
        slot = known.slot if known else f"u{number}"
        renamed[slot] = name
        if known is None:
            if all(type(value) is str for value in values):
                fields.append((slot, str | None))
                strings += 1
            else:
                fields.append((slot, msgspec.Raw))
                lines += [f"{one} = bytes({me}.{slot})", f"q += {one}.count(QUOTE)", f"n += {one}.count(b'null')"]
            continue
        is_list = known.many or (known.many is None and any(type(value) is list for value in values))
        if not known.inside and not is_list:
            if not all(type(value) is str for value in values):
                raise Unlike
            fields.append((slot, str | None))
            strings += 1
            continue
        if is_list and not all(type(value) is list for value in values):
            raise Unlike
        below = [value for values_ in values for value in values_] if is_list else values
        lines += [f"{one} = {me}.{slot}", f"if {one} is None: n += 1"]
        if not known.inside:
            if not all(type(value) is str for value in below):
                raise Unlike
            fields.append((slot, list[str] | None))
            lines.append(f"else: s += len({one})")
            continue
        if not below:
            raise Unlike  # nothing to learn from
        shape = _learn(known, below, depth + 1)
        if is_list:
            fields.append((slot, list[shape.type] | None))  # type: ignore[name-defined]
            lines.append(f"else: s += {shape.strings} * len({one})")
            if shape.lines:
                lines += [f"for o{depth + 1} in {one} or ():", *(f" {line}" for line in shape.lines)]
        else:
            fields.append((slot, shape.type | None))
            lines += [
                "else:",
                f" s += {shape.strings}",
                f" o{depth + 1} = {one}",
                *(f" {deeper}" for deeper in shape.lines),
            ]
    absent = [(known.slot, Any, None) for name, known in place.inside.items() if name not in names]
    made = msgspec.defstruct("Read", [*fields, *absent], rename=renamed, forbid_unknown_fields=True, gc=False)
    return _Shape(made, strings, lines)


def _counter(shape: _Shape) -> Callable[[Any], tuple[int, int, int]]:
    body = "".join(f"  {line}\n" for line in shape.lines)
    text = f"def count(o0):\n  s, n, q = {shape.strings}, 0, 0\n{body}  return s, n, q\n"
    space: dict[str, Any] = {"QUOTE": b'"'}
    exec(compile(text, "<count>", "exec"), space)
    count: Callable[[Any], tuple[int, int, int]] = space["count"]
    return count
