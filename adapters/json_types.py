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

from adapters.xml_tree import DEEPEST, MOST_VALUES

LARGEST = min(1024 * 1024, 2 * MOST_VALUES)
"""Bytes that are decoded at once, on the event loop."""
MOST_MISSES = 16
"""Answers in a row that are not of the shape learnt before another takes its place."""
MOST_SHAPES = 32
"""Answers that are learnt from, at most."""


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
        self._count: Callable[[Any], int] | None = None
        self._form: Any = None
        self._nullable: set[tuple[str, ...]] = set()
        self._misses = self._shapes = 0

    @property
    def is_learning(self) -> bool:
        """Whether it wants to see an answer that was read in the general way."""
        return self._shapes < MOST_SHAPES and (self._decoder is None or self._misses > 0)

    def learn(self, body: bytes) -> None:
        """Take the shape of an answer for that of those to come: of the first one, of one that has nulls in new places, or of
        one that comes after many that were of another shape."""
        self._shapes += 1
        learner = _Learner(self._nullable)
        try:
            shape = learner.objects(self._root, [msgspec.json.decode(body)], ())
        except (Unlike, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        if self._decoder is None or shape.form == self._form or self._misses > MOST_MISSES:
            self._decoder, self._count = msgspec.json.Decoder(shape.type), _counter(shape)
            self._form, self._misses = shape.form, 0

    def read(self, body: bytes) -> list[Any] | None:
        """The records, as Structs; None when the answer is to be read in the general way."""
        if self._decoder is None or len(body) > LARGEST:
            return None
        try:
            tree = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._misses += 1
            return None
        assert self._count is not None
        if body.count(b'"') != 2 * self._count(tree):
            self._misses += 1
            return None
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


@dataclass(slots=True)
class _Shape:
    """A type for the objects of one place. An object has `strings` strings if none of the texts at `nullable` is null, and those
    that `lines` count besides. `form` is equal for equal members."""

    type: type[msgspec.Struct]
    strings: int
    nullable: list[str]
    lines: list[str]
    form: Any


class _Learner:
    """Makes the types for one answer; `nullable` are the places where a null was seen, in this answer or in another."""

    def __init__(self, nullable: set[tuple[str, ...]]) -> None:
        self.nullable = nullable

    def objects(self, place: Place, objects: Sequence[Any], path: tuple[str, ...]) -> _Shape:
        """The type of the objects at a place. Raises Unlike."""
        if not objects or not all(type(one) is dict for one in objects):
            raise Unlike
        names = objects[0].keys()
        if any(one.keys() != names for one in objects):
            raise Unlike
        fields: list[tuple[str, Any]] = []
        renamed: dict[str, str] = {}
        found = _Shape(msgspec.Struct, len(names), [], [], {})
        strings = len(names)
        for number, name in enumerate(names):
            known = place.inside.get(name)
            slot = known.slot if known else f"u{number}"
            renamed[slot] = name
            values = [each[name] for each in objects]
            kind, form = self._member(known, slot, values, (*path, name), found)
            strings += kind is str
            found.form[name] = form
            is_nullable = (*path, name) in self.nullable
            fields.append((slot, kind | None if is_nullable and kind is not Any else kind))
            if is_nullable and kind is str:
                found.nullable.append(slot)
        absent = [(known.slot, Any, None) for name, known in place.inside.items() if name not in names]
        made = msgspec.defstruct("Read", [*fields, *absent], rename=renamed, forbid_unknown_fields=True, gc=False)
        return _Shape(made, strings, found.nullable, found.lines, found.form)

    def _member(
        self, known: Place | None, slot: str, values: Sequence[Any], path: tuple[str, ...], found: _Shape
    ) -> tuple[Any, Any]:
        """The type of a member, and what tells one form of it from another; adds the lines that count what is in it."""
        told = [value for value in values if value is not None]
        if len(told) < len(values):
            self.nullable.add(path)
        depth = len(path)
        me, one = f"o{depth - 1}", f"x{depth}"
        if known is None:
            if all(type(value) is str for value in told):
                return str, str
            found.lines.append(f"s += strings({me}.{slot})")
            return Any, Any
        is_list = bool(known.many) or (known.many is None and any(type(value) is list for value in told))
        if not known.inside and not is_list:
            if not all(type(value) is str for value in told):
                raise Unlike
            return str, str
        if is_list and not all(type(value) is list for value in told):
            raise Unlike
        below = [item for value in told for item in value] if is_list else told
        found.lines += [f"{one} = {me}.{slot}", f"if {one} is not None:"]
        if not known.inside:
            if not all(type(value) is str for value in below):
                raise Unlike
            found.lines.append(f" s += len({one})")
            return list[str], list
        if not below:
            raise Unlike  # nothing to learn from
        shape = self.objects(known, below, path)
        if is_list:
            found.lines.append(f" s += {shape.strings} * len({one})")
            found.lines += [f" s -= [y.{other} for y in {one}].count(None)" for other in shape.nullable]
            if shape.lines:
                found.lines += [f" for o{depth} in {one}:", *(f"  {line}" for line in shape.lines)]
            return list[shape.type], [shape.form]  # type: ignore[name-defined]
        found.lines += [f" s += {shape.strings}", f" o{depth} = {one}"]
        found.lines += [f" s -= o{depth}.{other} is None" for other in shape.nullable]
        found.lines += [f" {line}" for line in shape.lines]
        return shape.type, shape.form


def _counter(shape: _Shape) -> Callable[[Any], int]:
    lines = [f"s -= o0.{other} is None" for other in shape.nullable] + shape.lines
    body = "".join(f"  {line}\n" for line in lines)
    text = f"def count(o0):\n  s = {shape.strings}\n{body}  return s\n"
    space: dict[str, Any] = {"strings": _strings}
    exec(compile(text, "<count>", "exec"), space)
    count: Callable[[Any], int] = space["count"]
    return count


def _strings(value: Any, left: int = DEEPEST) -> int:
    """The strings in what nobody reads, names of members among them; more than there are of what is too deep to be taken."""
    kind = value.__class__
    if kind is str:
        return 1
    if kind is not dict and kind is not list:
        return 0
    if not left:
        return LARGEST
    inside = sum(_strings(one, left - 1) for one in (value.values() if kind is dict else value))
    return inside + len(value) if kind is dict else inside
