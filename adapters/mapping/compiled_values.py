"""Values for compiled mappings: what `Field.convert` does, remembered where texts repeat and faster where they do not.

Everything here either gives the value that the field gives or raises `Irregular`; what is wrong with a value is said by the
one who reads records with every word of the specification in hand (`map_record`), never here.
"""

from collections.abc import Callable, Hashable
from datetime import date, datetime
from typing import Any

from adapters.mapping.convert import FEN
from adapters.mapping.model import Field, Reference
from adapters.mapping.record import split_text
from schema.formats import CHINA_TIME
from schema.identifiers import check_uscc, doubt_uscc
from schema.identity import HashId, key_value, refer
from schema.registry import Entity, Relation

MOST_REMEMBERED = 1024
"""Conversions remembered of one field; when there are more it starts again."""
LONGEST_REMEMBERED = 64
FIRST_YEAR_WITHOUT_DST = "1992"
"""Since then the clocks of Asia/Shanghai have always been eight hours ahead."""

Convert = Callable[[str], Any]
Read = Callable[[Any], Any]


class Irregular(ValueError):
    """Not the common case; the record has to be read with care."""


def irregular(given: Any = None) -> Any:
    """None for what has nothing inside, as a text where a record could be. Raises Irregular for anything else."""
    if given is None or type(given) is not str:
        raise Irregular
    return None


class Memo(dict[Any, Any]):
    """What `find` gives for each thing it was asked for, remembered for a bounded number of them; may be used by threads."""

    __slots__ = ("find",)

    def __init__(self, find: Callable[[Any], Any]) -> None:
        super().__init__()
        self.find = find

    def __missing__(self, given: Hashable) -> Any:
        found = self.find(given)
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        if not isinstance(given, str) or len(given) <= LONGEST_REMEMBERED:
            self[given] = found
        return found


def is_plain_text(f: Field) -> bool:
    """Whether a value is its text, stripped, and only its length and letters are to be checked."""
    form, element = f.form, f.element
    return (
        _is_free(f)
        and form is not None
        and form.as_ in (None, "text")
        and element.format.kind == "text"
        and isinstance(element.format.lengths, range)
        and element.format.lengths.start == 1
    )


def reader(f: Field) -> Read:
    """What turns the thing at the field's place into its value, None when there is none. Raises Irregular."""
    convert, quick = _careful(f), None if f.blank else _quick(f)
    blank = f.blank

    def read(given: Any) -> Any:
        if given is None:
            return None
        if type(given) is not str:
            raise Irregular
        text = given.strip()
        return None if not text or text in blank else convert(text)

    if quick is None:
        return read
    known = quick

    def read_quickly(given: Any) -> Any:
        found = known(given) if type(given) is str else None
        return read(given) if found is None else found

    return read_quickly


def splitter(f: Field) -> Read:
    """The same for a field whose text holds several values: all of them, as a tuple."""
    convert = _careful(f)
    blank, separators = f.blank, f.split

    def read(given: Any) -> tuple[Any, ...]:
        if given is None:
            return ()
        if type(given) is not str:
            raise Irregular
        return tuple(convert(text) for text in split_text(given, separators) if text and text not in blank)

    return read


def keys_of(reference: Reference, owner: str, hash_id: HashId) -> Read:
    """What turns the thing at the reference's place into the keys it leads to, as a tuple. Raises Irregular."""
    element, to = reference.field.element.name, reference.to
    values = splitter(reference.field)

    def read(given: Any) -> tuple[str, ...]:
        keys = (refer(to, element, value, owner, hash_id) for value in values(given))
        return tuple(dict.fromkeys(key for key in keys if key is not None))

    return read


def told_by_keys(relation: Relation, to: Entity) -> Read:
    """What turns the keys a relation leads to into the value of the element it fills; None when they tell none."""

    def read(keys: tuple[str, ...]) -> Any:
        told = [value for key in keys if (value := key_value(to, key)) is not None]
        if not told:
            return None
        return tuple(told) if relation.many else told[0]

    return read


def remembered(f: Field, read: Read) -> Read | Memo:
    """The same, remembered; what is sensitive is not kept in memory."""
    return read if f.element.is_sensitive else Memo(read)


def _careful(f: Field) -> Convert:
    """Doubtful values are for the careful reader, since doubts have to be told."""
    convert = f.convert
    if (doubt := f.doubt) is None:
        return convert

    def converted(text: str) -> Any:
        value = convert(text)
        if doubt(value):
            raise Irregular
        return value

    return converted


def _is_free(f: Field) -> bool:
    """Whether neither the mapping nor the specification asks anything of the value beyond its format."""
    is_coded = f.element.codes is not None or (f.form is not None and f.form.codes is not None)
    return not is_coded and f.element.check is None and f.element.normal is None and f.doubt is None


def _quick(f: Field) -> Callable[[str], Any] | None:
    """What knows the value of most texts, and says None of the others; None where nothing is faster than `convert`."""
    form, element = f.form, f.element
    if form is not None and form.as_ == element.check == "uscc" and form.codes is None and element.codes is None:
        is_whole = element.format.kind == "text" and 18 in element.format.lengths and element.normal is None
        return _quick_uscc if is_whole else None
    if form is None or not _is_free(f) or element.format.kind != form.as_:
        return None
    match form.as_:
        case "date":
            return _quick_date(form.format or "%Y-%m-%d")
        case "datetime" if form.format and form.zone == "Asia/Shanghai":
            return _quick_moment(form.format)
        case "money":
            return _quick_fen(FEN[form.unit or "元"])
        case _:
            return None


def _quick_uscc(text: str) -> str | None:
    """A code without a doubt, checked once where mapping and specification each ask for it."""
    try:
        code = check_uscc(text)
    except ValueError:
        return None
    return None if doubt_uscc(code) else code


def _shape(form: str) -> tuple[str, bool] | None:
    """The separator of a usual date format and whether a time of day follows, or None for any other."""
    for separator in "-/":
        day = f"%Y{separator}%m{separator}%d"
        if form in (day, f"{day} %H:%M:%S"):
            return separator, form != day
    return None


def _plain_moment(text: str, separator: str, has_time: bool) -> datetime | None:
    """A text of the usual shape, read as ISO 8601; None for what has another shape, or is no moment."""
    if len(text) != (19 if has_time else 10) or text[4] != separator or text[7] != separator or text[0] == "0":
        return None
    if has_time and (text[10] != " " or text[13] != ":" or text[16] != ":" or text[11:13] == "24"):
        return None
    try:
        return datetime.fromisoformat(text if separator == "-" else text.replace(separator, "-"))
    except ValueError:
        return None


def _quick_date(form: str) -> Callable[[str], date | None] | None:
    shape = _shape(form)
    if shape is None:
        return None

    def quick(text: str) -> date | None:
        moment = _plain_moment(text, *shape)
        return None if moment is None else moment.date()

    return quick


def _quick_moment(form: str) -> Callable[[str], datetime | None] | None:
    shape = _shape(form)
    if shape is None:
        return None

    def quick(text: str) -> datetime | None:
        moment = _plain_moment(text, *shape) if text >= FIRST_YEAR_WITHOUT_DST else None
        return None if moment is None else moment.replace(tzinfo=CHINA_TIME)

    return quick


def _quick_fen(digits: int) -> Callable[[str], int | None]:
    def quick(text: str) -> int | None:
        whole, point, part = text.partition(".")
        if not (whole.isascii() and whole.isdigit() and len(whole) <= 12):
            return None
        if not point:
            return int(whole + "0" * digits)
        if not (part.isascii() and part.isdigit() and len(part) <= digits):
            return None
        return int(whole + part.ljust(digits, "0"))

    return quick
