"""Values for compiled mappings: what `Field.convert` does, remembered where texts repeat and faster where they do not.

Everything here either gives the value that the field gives or raises `Irregular`; what is wrong with a value is said by the
one who reads records with every word of the specification in hand (`map_record`), never here.
"""

from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Any

from adapters.mapping.convert import FEN
from adapters.mapping.model import Field, Reference
from adapters.mapping.record import split_text
from schema.formats import CHINA_TIME
from schema.identifiers import check_uscc, doubt_uscc
from schema.identity import HashId, key_value, refer
from schema.registry import Entity, Relation

MOST_REMEMBERED = 4096
"""Conversions remembered of one field; when there are more it starts again."""
LONGEST_REMEMBERED = 64
PROBE = "a value"
"""Stands for any value, to see what a key is made of."""
FIRST_YEAR_WITHOUT_DST = "1992"
ISO_DAY = "%Y-%m-%d"
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

    __slots__ = ("find", "most")

    def __init__(self, find: Callable[[Any], Any], most: int = MOST_REMEMBERED) -> None:
        super().__init__()
        self.find = find
        self.most = most

    def __missing__(self, given: Hashable) -> Any:
        found = self.find(given)
        if len(self) >= self.most:
            self.clear()
        if type(given) is not str or len(given) <= LONGEST_REMEMBERED:
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
    convert, blank = _careful(f), f.blank

    def read(given: Any) -> Any:
        if given is None:
            return None
        if type(given) is not str:
            raise Irregular
        text = given.strip()
        return None if not text or text in blank else convert(text)

    return read if blank else _quick(f, read)


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
    f, to = reference.field, reference.to
    element = f.element.name
    if not f.split and refer(to, element, PROBE, owner, hash_id) == PROBE:
        return _key_of_text(reader(f))
    values = splitter(f)

    def read(given: Any) -> tuple[str, ...]:
        keys = (refer(to, element, value, owner, hash_id) for value in values(given))
        return tuple(dict.fromkeys(key for key in keys if key is not None))

    return read


def _key_of_text(value_of: Read) -> Read:
    """The same where a key is nothing but the value."""

    def read(given: Any) -> tuple[str, ...]:
        value = value_of(given)
        return () if value is None else (str(value),)

    return read


def told_by_keys(relation: Relation, to: Entity) -> Read:
    """What turns the keys a relation leads to into the value of the element it fills; None when they tell none."""

    def read(keys: tuple[str, ...]) -> Any:
        told = [value for key in keys if (value := key_value(to, key)) is not None]
        if not told:
            return None
        return tuple(told) if relation.many else told[0]

    return read


def remembered(f: Field, read: Read, most: int = MOST_REMEMBERED) -> Read | Memo:
    """The same, remembered; what is sensitive is not kept in memory, nor what is mostly new: times of day and amounts."""
    form = f.form
    is_new = form is not None and (
        form.as_ in ("money", "datetime") or (form.as_ == "date" and "%S" in (form.format or ""))
    )
    return read if f.element.is_sensitive or is_new else Memo(read, most)


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


def _quick(f: Field, read: Read) -> Read:
    """What knows the value of most texts by itself, and leaves the others to `read`; `read` where nothing is faster.

    Each is one function, since most times and amounts are new, and every call on the way to them counts.
    """
    form, element = f.form, f.element
    is_coded = element.codes is not None or (form is not None and form.codes is not None)
    if element.check == "uscc" and not is_coded and (form is None or form.as_ in (None, "text", "uscc")):
        is_whole = element.format.kind == "text" and 18 in element.format.lengths and element.normal is None
        return _quick_uscc(read) if is_whole else read
    if form is None or not _is_free(f) or element.format.kind != form.as_:
        return read
    match form.as_:
        case "date":
            return _quick_time(form.format or "%Y-%m-%d", read, is_date=True)
        case "datetime" if form.format and form.zone == "Asia/Shanghai":
            return _quick_time(form.format, read, is_date=False)
        case "money":
            return _quick_fen(FEN[form.unit or "元"], read)
        case _:
            return read


def printing_reader(f: Field, name: str, printed: Callable[[Any], Any]) -> Read | Memo:
    """What turns the thing at the field's place into what `printed` makes of its value for the type `name`.

    Times of day and amounts are mostly new: to print them from their text takes less time than to look for them.
    """
    convert = reader(f)

    def read(given: Any) -> Any:
        return printed(convert(given))

    form = f.form
    if form is not None and not f.blank and _is_free(f) and f.element.format.kind == form.as_:
        match form.as_, name:
            case "date", "Date" if form.format == f"{ISO_DAY} %H:%M:%S":
                return _quick_text(read, is_date=True)
            case "datetime", "DateTime" if form.format == f"{ISO_DAY} %H:%M:%S" and form.zone == "Asia/Shanghai":
                return _quick_text(read, is_date=False)
            case "datetime", "DateTime" if form.format is None:
                return _quick_moment(read)
            case "money", "Money":
                return _quick_amount(FEN[form.unit or "元"], read)
    return remembered(f, read)


def _quick_uscc(read: Read) -> Read:
    """A code without a doubt, checked once however often mapping and specification ask for it."""

    def quick(given: Any) -> Any:
        if type(given) is not str:
            return read(given)
        try:
            code = check_uscc(given)
        except ValueError:
            return read(given)
        return read(given) if doubt_uscc(code) else code

    return quick


def _shape(form: str) -> tuple[str, bool] | None:
    """The separator of a usual date format and whether a time of day follows, or None for any other."""
    for separator in "-/":
        day = f"%Y{separator}%m{separator}%d"
        if form in (day, f"{day} %H:%M:%S"):
            return separator, form != day
    return None


def _quick_time(form: str, read: Read, is_date: bool) -> Read:
    """A text of a usual shape, read as ISO 8601; years before 1000, and moments before clocks stood still, with care."""
    shape = _shape(form)
    if shape is None:
        return read
    separator, has_time = shape
    first = "1" if is_date else FIRST_YEAR_WITHOUT_DST

    check = datetime.fromisoformat

    def quick_day(given: Any) -> Any:
        try:
            if len(given) == 10 and given[4] == separator and given[7] == separator and given >= first:
                return check(given if separator == "-" else given.replace(separator, "-")).date()
        except (TypeError, ValueError):
            pass
        return read(given)

    def quick(given: Any) -> Any:
        try:
            if (
                len(given) == 19
                and given[10] == " "
                and given[7] == separator
                and given[13] == ":"
                and given[16] == ":"
                and given >= first
                and (given[11] != "2" or given[12] != "4")
            ):
                moment = check(given if separator == "-" else given.replace(separator, "-"))
                return moment.date() if is_date else moment.replace(tzinfo=CHINA_TIME)
        except (TypeError, ValueError):
            pass
        return read(given)

    return quick if has_time else quick_day


def _quick_text(read: Read, is_date: bool) -> Read:
    """A day and a time of day, as the text of the day or of the moment; see `_quick_time`."""
    check = datetime.fromisoformat

    def quick(given: Any) -> Any:
        try:
            if (
                len(given) == 19
                and given[10] == " "
                and given[7] == "-"
                and given[13] == ":"
                and given[16] == ":"
                and given > FIRST_YEAR_WITHOUT_DST
                and (given[11] != "2" or given[12] != "4")
            ):
                check(given)
                return given[:10] if is_date else given.replace(" ", "T") + "+08:00"
        except (TypeError, ValueError):
            pass
        return read(given)

    return quick


def _quick_moment(read: Read) -> Read:
    """An instant that is written as we write it ourselves."""
    check = datetime.fromisoformat

    def quick(given: Any) -> Any:
        try:
            if (
                len(given) == 25
                and given[10] == "T"
                and given[13] == ":"
                and given[16] == ":"
                and given[7] == "-"
                and given[19:] == "+08:00"
                and given > FIRST_YEAR_WITHOUT_DST
                and given[11:13] != "24"
            ):
                check(given)
                return given
        except (TypeError, ValueError):
            pass
        return read(given)

    return quick


def _quick_amount(digits: int, read: Read) -> Read:
    """An amount in 元 with two decimals, from one in a unit of 10^digits 分."""
    most = digits - 2
    missing = ["0" * (most - length) for length in range(most + 1)]

    def quick(given: Any) -> Any:
        if given.__class__ is str and given.isascii():
            whole, _, part = given.partition(".")
            if part.isdigit() and whole.isdigit() and len(part) <= most and len(whole) < 13 and whole[0] != "0":
                return f"{whole}{part}{missing[len(part)]}.00"
            if whole.isdigit() and len(whole) < 13 and len(part) <= digits and (part.isdigit() or given == whole):
                text = (whole + part.ljust(digits, "0")).lstrip("0")
                return f"{text[:-2]}.{text[-2:]}" if len(text) > 2 else f"0.{text:0>2}"
        return read(given)

    return quick


def _quick_fen(digits: int, read: Read) -> Read:
    def quick(given: Any) -> Any:
        if type(given) is not str or not given.isascii():
            return read(given)
        whole, point, part = given.partition(".")
        if not whole.isdigit() or len(whole) > 12 or (point and (len(part) > digits or not part.isdigit())):
            return read(given)
        return int(whole + part.ljust(digits, "0"))

    return quick
