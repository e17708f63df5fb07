"""Code that finds the things at a path in a record that was decoded into a Struct (`adapters.json_types`), for compiled mappings."""

from collections.abc import Sequence

from adapters.json_types import Place
from adapters.mapping.compiled_read import UNDECODABLE, Keep, PlaceWriter, Remember
from adapters.mapping.model import Field
from adapters.mapping.paths import RecordPath


class TypedPlaceWriter(PlaceWriter):
    """The lines of one function over `record`, a Struct whose objects are of the types that `place` stands for.

    All its texts are checked together in the end (`check_texts`). Raises Unlike or NotTyped for what needs a tree.
    """

    def __init__(self, keep: Keep, memo: Remember, place: Place) -> None:
        super().__init__(keep, memo)
        self.place = place
        self.texts: list[str] = []
        self.lines = []

    def check_texts(self) -> None:
        """That no text has a letter that cannot be shown, nor what decoding leaves of bytes that are none."""
        if self.texts:
            inside = "".join(f"{{{text}}}" for text in self.texts)
            self.line(f'texts = f"{inside}"')
            self.line(f"if not texts.isprintable() or {self.keep('mark', UNDECODABLE)} in texts: irregular()")

    def inside(self, path: RecordPath) -> Place:
        """The place of the objects at a path."""
        place = self.place
        for name, many in path.steps:
            place = place.at(name, many)
        return place

    def thing(self, f: Field) -> str:
        """An expression for what stands at the field's place, before it is read."""
        assert f.path is not None
        if not f.path.steps or f.path.many:
            raise NotTyped
        return self._one(f.path)

    def keys(self, f: Field, read: object) -> str:
        """As of any record."""
        assert f.path is not None
        if not f.path.steps or (f.path.many and not self._has_list(f.path)):
            raise NotTyped
        return super().keys(f, read)

    def nodes(self, path: RecordPath) -> str:
        """An expression for everything at the path."""
        if not path.steps or (path.many and not (self._has_list(path) and path.steps[-1][1])):
            raise NotTyped
        return super().nodes(path)

    def _whole(self, f: Field) -> str:
        raise NotTyped(f.name)

    def _read_text(self, f: Field, value: str) -> None:
        assert f.path is not None
        blank = f" or {value} in {self.keep('blank', f.blank)}" if f.blank else ""
        self.line(f"{value} = {self._one(f.path)}")
        with self.indented(f"if {value} is not None:"):
            self.line(f"{value} = {value}.strip()")
            self.line(f"if not {value}{blank}: {value} = None")
            self.line(f"elif len({value}) > {f.element.format.lengths[-1]}: irregular()")
        self.texts.append(value)

    def _one(self, path: RecordPath, front: int | None = None) -> str:
        steps = path.steps[:front]
        slots = self._slots(steps)
        found = f"record.{slots[0]}"
        for slot in slots[1:]:
            node = self.new()
            self.line(f"{node} = {found}")
            found = f"(None if {node} is None else {node}.{slot})"
        return found

    def _slots(self, steps: Sequence[tuple[str, bool]]) -> list[str]:
        place, slots = self.place, []
        for name, many in steps:
            place = place.at(name, many)
            slots.append(place.slot)
        return slots

    def _several(self, path: RecordPath) -> str:
        at = next(index for index, (_, many) in enumerate(path.steps) if many)
        found = self.new()
        self.line(f"{found} = {self._one(path, at + 1)} or ()")
        if at == len(path.steps) - 1:
            return found
        return f"[x.{self._slots(path.steps)[-1]} for x in {found}]"


class NotTyped(Exception):
    """The mapping reads something that is no text of a declared object: it has to be read from a tree."""
