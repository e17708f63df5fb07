"""Code that finds the things at a path in a record, for compiled mappings."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from adapters.mapping.compiled_values import (
    Irregular,
    Memo,
    is_plain_text,
    printing_reader,
    reader,
    remembered,
    splitter,
)
from adapters.mapping.model import Field
from adapters.mapping.paths import RecordPath
from adapters.mapping.record import Bad, read_value, texts_at
from adapters.source import Record

UNDECODABLE = "\ufffd"
"""What decoding leaves of bytes that are no text; the only letter of its kind that counts as printable."""

Keep = Callable[[str, Any], str]
Remember = Callable[[Any, Callable[[], Any]], Any]


class PlaceWriter:
    """The lines of one function over `record`, a dict, and `get`, its getter."""

    def __init__(self, keep: Keep, memo: Remember) -> None:
        self.keep, self.memo = keep, memo
        self.lines = ["    if type(record) is not dict: irregular()", "    get = record.get"]
        self.variables = 0
        self.indent = "    "

    def line(self, text: str, of: str = "{}") -> str:
        """Add a line, `text` set into `of`; returns what stands in front of ` = `."""
        made = of.format(text)
        self.lines.append(self.indent + made)
        return made.split(" = ", 1)[0]

    @contextmanager
    def indented(self, head: str) -> Iterator[None]:
        """Lines added inside belong to the block that `head` opens."""
        self.lines.append(self.indent + head)
        self.indent += "    "
        yield
        self.indent = self.indent[4:]

    def new(self) -> str:
        """A variable that is not in use."""
        self.variables += 1
        return f"v{self.variables}"

    def read(self, f: Field) -> str:
        """The variable with the field's value, None where there is none."""
        value = self.new()
        many = f.element.format.many
        if f.path is None:
            constant = f.convert(f.constant or "")
            self.line(f"{value} = {self.keep('constant', (constant,) if many else constant)}")
        elif f.element.format.kind == "structure" or not f.path.steps or not self._is_usual(f.path, many, f):
            self.line(f"{value} = {self._whole(f)}")
        elif many:
            self._read_many(f, value)
        elif is_plain_text(f):
            self._read_text(f, value)
        else:
            self.line(f"{value} = {self._call(self._reader(f), self._one(f.path))}")
        return value

    def read_as(self, f: Field, name: str, printed: Callable[[Any], Any]) -> str | None:
        """The variable with what `printed` (called `name`) makes of the value, None of none, in one step; None where the
        value is not read from one text by a conversion."""
        path, kind = f.path, f.element.format
        if (
            path is None
            or path.many
            or not path.steps
            or f.split
            or kind.many
            or kind.kind == "structure"
            or is_plain_text(f)
        ):
            return None

        def made() -> tuple[Field, Any]:
            return f, printing_reader(f, name, printed)

        value = self.new()
        self.line(f"{value} = {self._call(self.memo(('printed', id(f), name), made)[1], self._one(path))}")
        return value

    def thing(self, f: Field) -> str:
        """An expression for what stands at the field's place, before it is read."""
        assert f.path is not None
        if not f.path.steps or f.path.many:
            return f"{self.keep('path', f.path)}.find(record)"
        return self._one(f.path)

    def keys(self, f: Field, read: Any) -> str:
        """The variable with the keys that the texts at the field lead to, each once; `read` gives those of one text."""
        assert f.path is not None
        keys = self.new()
        if f.path.steps and not f.path.many:
            self.line(f"{keys} = {self._call(read, self._one(f.path))}")
            return keys
        texts = self._several(f.path) if self._has_list(f.path) else f"{self.keep('texts', _texts(f))}(record)"
        self.line(f"{keys} = tuple({{k: None for x in {texts} for k in {self._call(read, 'x')}}})")
        return keys

    def nodes(self, path: RecordPath) -> str:
        """An expression for everything at the path, lists opened where it says so."""
        if not path.steps:
            return "(record,)"
        if self._has_list(path) and path.steps[-1][1]:
            return self._several(path)
        if path.many:
            return f"{self.keep('path', path)}.find(record)"
        node = self.new()
        self.line(f"{node} = {self._one(path)}")
        self.line(f"if type({node}) is list: irregular()")
        return f"({node},)"

    def _whole(self, f: Field) -> str:
        """An expression for the value of a field that is read as `map_record` reads it."""
        return f"{self.keep('read', _carefully(f))}(record)"

    def _is_usual(self, path: RecordPath, many: bool, f: Field) -> bool:
        return (many and self._has_list(path)) or (not path.many and (many or not f.split))

    def _has_list(self, path: RecordPath) -> bool:
        """Whether exactly one step leads to a list, the last or the one before it."""
        lists = [many for _, many in path.steps]
        return sum(lists) == 1 and any(lists[-2:])

    def _reader(self, f: Field) -> Any:
        return self.memo(("value", id(f)), lambda: (f, remembered(f, reader(f))))[1]

    def _call(self, read: Any, given: str) -> str:
        """`read` asked for `given`, whether it remembers or not."""
        name = self.keep("read", read)
        return f"{name}[{given}]" if isinstance(read, Memo) else f"{name}({given})"

    def _read_many(self, f: Field, value: str) -> None:
        assert f.path is not None
        if f.split:
            each = self.memo(("values", id(f)), lambda: (f, remembered(f, splitter(f))))[1]
            if f.path.many:
                made = f"tuple([v for x in {self._several(f.path)} for v in {self._call(each, 'x')}])"
            else:
                made = self._call(each, self._one(f.path))
            self.line(f"{value} = {made} or None")
            return
        read = self._reader(f)
        if f.path.many:
            values = f"[{self._call(read, 'x')} for x in {self._several(f.path)}]"
            self.line(f"{value} = tuple([v for v in {values} if v is not None]) or None")
        else:
            self.line(f"{value} = {self._call(read, self._one(f.path))}")
            self.line(f"if {value} is not None: {value} = ({value},)")

    def _read_text(self, f: Field, value: str) -> None:
        """A text needs no conversion where it is short enough and every letter of it is printable."""
        assert f.path is not None
        blank = f" or {value} in {self.keep('blank', f.blank)}" if f.blank else ""
        longest = self.keep("longest", f.element.format.lengths[-1])
        odd = f"len({value}) > {longest} or not {value}.isprintable() or {self.keep('mark', UNDECODABLE)} in {value}"
        self.line(f"{value} = {self._one(f.path)}")
        with self.indented(f"if {value} is not None:"):
            self.line(f"{value} = {value}.strip()")
            self.line(f"if not {value}{blank}: {value} = None")
            self.line(f"elif {odd}: {value} = {self.keep('convert', f.convert)}({value})")

    def _one(self, path: RecordPath, front: int | None = None) -> str:
        """An expression for the one thing at the path (or at its first steps), None where there is none."""
        names = [self.keep("step", name) for name, _ in path.steps[:front]]
        found = f"get({names[0]})"
        for name in names[1:]:
            node = self.new()
            self.line(f"{node} = {found}")
            self.line(f"if {node} is not None and type({node}) is not dict: {node} = irregular({node})")
            found = self.new()
            self.line(f"{found} = None if {node} is None else {node}.get({name})")
        return found

    def _several(self, path: RecordPath) -> str:
        """An expression for the things at a path with one list."""
        at = next(index for index, (_, many) in enumerate(path.steps) if many)
        found = self.new()
        self.line(f"{found} = {self._one(path, at + 1)}")
        self.line(f"if {found} is None: {found} = ()")
        self.line(f"elif type({found}) is not list: {found} = ({found},)")
        if at == len(path.steps) - 1:
            return found
        inside = self.keep("step", path.steps[-1][0])
        has = f"x.get({inside}) if type(x) is dict else None if x is None else irregular(x)"
        return f"[{has} for x in {found}]"


def _carefully(f: Field) -> Callable[[Record], Any]:
    def read(record: Record) -> Any:
        bad: Bad = []
        value = read_value(f, record, bad)
        if bad:
            raise Irregular
        return value

    return read


def _texts(f: Field) -> Callable[[Record], list[str]]:
    def read(record: Record) -> list[str]:
        texts = texts_at(f, record)
        if any(problem for _, problem in texts):
            raise Irregular
        return [text for text, _ in texts]

    return read
