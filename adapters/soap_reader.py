"""Readers of answers, made from the types in a WSDL: they know beforehand what is text, what is nested and what nobody
reads.

A reader gives exactly the tree that `TreeReader` gives of the same element: text as text, `xsi:nil` -> None, empty -> "",
absent -> no key. It never converts, so that no bad number or date is lost on the way. An answer that is not as its types
say makes it raise `Deviates`; then the general reader reads the answer, which needs no types.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree
from zeep.xsd.elements import Any as AnyElement
from zeep.xsd.elements import Choice, Element, Group, Sequence
from zeep.xsd.elements.indicators import OrderIndicator
from zeep.xsd.types import AnySimpleType, ComplexType

from adapters.mapping.paths import TEXT
from adapters.soap_wanted import Wanted
from adapters.xml_tree import NIL, TRUE, TreeReader, add_value, attributes_of, local_name

Told = dict[str, str]
"""What is noted about an answer: word -> what."""

Read = Callable[[etree._Element, Told], Any]
ANYTHING = "*"
"""The tag of a wildcard among the children of a type."""
MOST_ORDERS = 256
"""Orders of children that are remembered as right; records differ only in what they leave out."""


class Deviates(Exception):
    """The answer is not as its types say"""


class NoReader(Exception):
    """These types, or what is wanted of them, need the general reader"""


@dataclass(frozen=True, slots=True)
class Child:
    """An element that may stand in a type; `position` among its siblings, None where their order is free."""

    tag: str
    type: Any
    is_required: bool
    position: int | None
    many: bool = False

    @property
    def name(self) -> str:
        """Its name without namespace, which is its key in a record."""
        return self.tag.rpartition("}")[2]


def make_reader(declared: Any, wanted: Wanted | None) -> Read:
    """What reads a response element that is declared so, as far as it is wanted. Raises NoReader."""
    if wanted is None:
        raise NoReader("整个答复都要读")
    return _complex(declared, wanted)


def _complex(declared: Any, wanted: Wanted) -> Read:
    """A reader of elements that have children and attributes; told by the names in `wanted` which of them count."""
    if not isinstance(declared, ComplexType) or declared._array_type:
        raise NoReader(f"类型 {type(declared).__name__} 不是普通的复合类型")
    declared_children = list(children_of(declared))
    children = [child for child in declared_children if child.tag != ANYTHING]
    is_open = len(children) < len(declared_children)
    texts: dict[str, str] = {}
    others: dict[str, tuple[str, Read]] = {}
    skipped = {child.tag for child in children if child.name not in wanted}
    for child in children:
        if child.name not in wanted:
            continue
        inside = wanted[child.name]
        if inside is None and isinstance(child.type, AnySimpleType):
            texts[child.tag] = child.name
        elif inside is None or not isinstance(child.type, ComplexType):
            others[child.tag] = (child.name, _whole(inside))
        else:
            others[child.tag] = (child.name, _complex(child.type, inside))
    if texts.keys() & others.keys() or len({c.tag for c in children}) != len({(c.tag, id(c.type)) for c in children}):
        raise NoReader("同名元素有不同的类型")
    qualified = {f"@{attribute.name}": etree.QName(attribute.qname).text for _, attribute in _attributes(declared)}
    attributes = [(name, str(qualified[name])) for name in wanted if name in qualified]
    if absent := wanted.keys() - set(qualified) - {child.name for child in children}:
        raise NoReader(f"WSDL 中没有 {', '.join(sorted(absent))}")
    check = _check_of([child for child in children if child.name in wanted])
    text_named, other_named = texts.get, others.get
    right_orders: set[tuple[str, ...]] = set()

    def read(element: etree._Element, told: Told) -> Any:
        tree: dict[str, Any] = {}
        if element.keys():
            if element.get(NIL) in TRUE:
                return None
            for name, qname in attributes:
                if (value := element.get(qname)) is None:
                    value = attributes_of(element).get(name)
                if value is not None:
                    tree[name] = value
        for child in element:
            tag = child.tag
            if (name_ := text_named(tag)) is not None:
                if len(child):
                    raise Deviates(f"元素 {name_} 应为单个值")
                value = _text_beside_attributes(child) if child.keys() else child.text or ""
            elif (other := other_named(tag)) is not None:
                name_, inner = other
                value = inner(child, told)
            elif tag in skipped:
                continue
            else:
                if (name_ := local_name(child)) in wanted:
                    raise Deviates(f"元素 {name_} 的命名空间与 WSDL 不同")
                if not is_open:
                    told.setdefault("unknown", f"WSDL 中没有元素 {name_}")
                continue
            if name_ in tree:
                add_value(tree, name_, value)
            else:
                tree[name_] = value
        if not len(element):
            text = element.text or ""
            return {**tree, TEXT: text} if tree else text
        if (order := tuple(tree)) not in right_orders and check(order, told) and len(right_orders) < MOST_ORDERS:
            right_orders.add(order)
        return tree

    return read


def _whole(wanted: Wanted | None) -> Read:
    """What the types say nothing useful about is read as it is."""
    return lambda element, _told: TreeReader({}).read(element, wanted=wanted)


def _text_beside_attributes(element: etree._Element) -> Any:
    if element.get(NIL) in TRUE:
        return None
    text = element.text or ""
    return {**tree, TEXT: text} if (tree := attributes_of(element)) else text


def _check_of(children: list[Child]) -> Callable[[tuple[str, ...], Told], bool]:
    """What notes missing and disordered children; they are read by name, so neither shifts a value."""
    required = [child.name for child in children if child.is_required]
    positions = {child.name: child.position for child in children}

    def check(order: tuple[str, ...], told: Told) -> bool:
        found = [name for name in order if not name.startswith("@")]
        missing = next((name for name in required if name not in found), None)
        places = [place for name in found if (place := positions[name]) is not None]
        is_disordered = places != sorted(places)
        if missing:
            told.setdefault("missing", f"缺少 WSDL 要求的元素 {missing}")
        if is_disordered:
            told.setdefault("order", f"元素的次序与 WSDL 不同：{', '.join(found)[:100]}")
        return not missing and not is_disordered

    return check


def _attributes(declared: ComplexType) -> list[tuple[str, Any]]:
    return [(name, attribute) for name, attribute in declared.attributes if getattr(attribute, "name", None)]


def children_of(declared: ComplexType) -> Iterator[Child]:
    """The elements of a type, those of its base first. Raises NoReader for contents that are no elements."""
    positions = iter(range(1_000_000))
    for _, part in declared.elements_nested:
        if isinstance(part, Element):
            raise NoReader("类型的内容是单个值")
        yield from _inside(part, True, True, positions)


def _inside(part: Any, is_required: bool, is_ordered: bool, positions: Iterator[int]) -> Iterator[Child]:
    match part:
        case Element():
            position = next(positions)
            tag = str(etree.QName(part.qname).text)
            is_required, many = is_required and part.min_occurs > 0, part.max_occurs != 1
            yield Child(tag, part.type, is_required, position if is_ordered else None, many)
        case Group():
            yield from _inside(part.child, is_required and part.min_occurs > 0, is_ordered, positions)
        case OrderIndicator():
            is_required = is_required and part.min_occurs > 0 and not isinstance(part, Choice)
            is_ordered = is_ordered and isinstance(part, Sequence | Choice) and part.max_occurs == 1
            for inner in part:
                yield from _inside(inner, is_required, is_ordered, positions)
        case AnyElement():
            yield Child(ANYTHING, None, False, None)
        case _:
            raise NoReader(f"类型中有 {type(part).__name__}，不预先生成")
