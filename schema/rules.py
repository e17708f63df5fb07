"""Rules of a whole entity, as written in its file: what dates its facts, and checks that hold under a condition."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from schema.formats import CHECKS
from schema.registry import CodeTable, ConditionalCheck, Element
from schema.written import Document


class WrittenConditionalCheck(BaseModel):
    """`id_no: {check: id_no, when: {id_type: [RESIDENT_IDENTITY_CARD]}}`; all of `when` must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check: str
    when: dict[str, list[str]]


def fact_date(names: Sequence[str], elements: Mapping[str, Element], document: Document) -> tuple[str, ...]:
    """The elements that date the facts, in the order they are asked; what is no date is a mistake of the document."""
    for index, name in enumerate(names):
        path = ("fact_date", index)
        if name not in elements:
            document.unknown(path, name, "本实体没有数据元", elements)
        elif elements[name].format.many or elements[name].format.kind not in ("date", "datetime"):
            document.problem(path, f"{name} 不是单个日期或时间，不能说明事实发生在哪天")
    return tuple(names)


def check_fronts(
    judged_length: int | None, foreign_prefixes: Sequence[str], type_name: str | None, document: Document
) -> None:
    """A table that lists only the front of its codes is no enum, and says how long the front is."""
    if judged_length and type_name:
        document.problem(("judged_length",), "枚举（有 type）的代码表没有更长的代码")
    if foreign_prefixes and not judged_length:
        document.problem(("foreign_prefixes",), "只与 judged_length 同用")


def conditional_checks(
    written: Mapping[str, WrittenConditionalCheck],
    elements: Mapping[str, Element],
    codes: Mapping[str, CodeTable],
    document: Document,
) -> tuple[ConditionalCheck, ...]:
    """The conditional checks; what names something unknown is a mistake of the document."""
    for name, rule in written.items():
        path = ("conditional_checks", name)
        if name not in elements:
            document.unknown(path, name, "本实体没有数据元", elements)
        elif elements[name].format.many or elements[name].format.kind != "text":
            document.problem(path, f"{name} 不是单个文本，不能校验")
        if rule.check not in CHECKS:
            document.unknown((*path, "check"), rule.check, "不认识的词", CHECKS)
        if not rule.when:
            document.problem((*path, "when"), "至少写一个条件；总是要查的写在数据元的 check")
        for other, members in rule.when.items():
            _check_condition(other, members, elements, codes, document, (*path, "when", other))
    return tuple(
        ConditionalCheck(name, rule.check, {other: tuple(members) for other, members in rule.when.items()})
        for name, rule in written.items()
    )


def _check_condition(
    other: str,
    members: Sequence[str],
    elements: Mapping[str, Element],
    codes: Mapping[str, CodeTable],
    document: Document,
    path: tuple[str | int, ...],
) -> None:
    if other not in elements:
        document.unknown(path, other, "本实体没有数据元", elements)
        return
    table = codes.get(elements[other].codes or "")
    if table is None or elements[other].format.many:
        document.problem(path, f"{other} 不是取一个代码的数据元，不能作条件")
        return
    for index, member in enumerate(members):
        if member not in table.members:
            document.unknown((*path, index), member, f"代码表 {table.name} 没有成员", table.members)
