"""What must hold of the rules of a whole entity: what dates its facts, and checks that hold under a condition."""

from collections.abc import Mapping

from schema.check_codes import Table
from schema.formats import CHECKS, Format, parse_format
from schema.problems import Path
from schema.shape import WrittenConditionalCheck, WrittenEntity
from schema.written import Document


def check_rules(written: WrittenEntity, document: Document, tables: Mapping[str, Table | None]) -> None:
    """Tell every mistake in the rules of one entity. A table that is None exists but could not be read."""
    if document.is_repaired(("elements",)):
        return
    for index, name in enumerate(written.fact_date):
        form = _form(written, document, ("fact_date", index), name)
        if form is not None and (form.many or form.kind not in ("date", "datetime")):
            document.problem(("fact_date", index), f"{name} 不是单个日期或时间，不能说明事实发生在哪天")
    for name, rule in written.conditional_checks.items():
        _check_condition(name, rule, written, document, tables)


def _check_condition(
    name: str,
    rule: WrittenConditionalCheck,
    written: WrittenEntity,
    document: Document,
    tables: Mapping[str, Table | None],
) -> None:
    path: Path = ("conditional_checks", name)
    form = _form(written, document, path, name)
    if form is not None and (form.many or form.kind != "text"):
        document.problem(path, f"{name} 不是单个文本，不能校验")
    if rule.check not in CHECKS and not document.is_repaired((*path, "check")):
        document.unknown((*path, "check"), rule.check, "不认识的词", CHECKS)
    if not rule.when and not document.is_repaired((*path, "when")):
        document.problem((*path, "when"), "至少写一个条件；总是要查的写在数据元的 check")
    for other, members in rule.when.items():
        here = (*path, "when", other)
        other_form = _form(written, document, here, other)
        if other_form is None:
            continue
        codes = written.elements[other].codes
        if codes is None or other_form.many:
            document.problem(here, f"{other} 不是取一个代码的数据元，不能作条件")
        elif (table := tables.get(codes)) is not None:
            for index, member in enumerate(members):
                if member not in table[0].members:
                    document.unknown((*here, index), member, f"代码表 {codes} 没有成员", table[0].members)


def _form(written: WrittenEntity, document: Document, path: Path, name: str) -> Format | None:
    """The format of an element that a rule names; None when there is no such element, or its format is told elsewhere."""
    if name not in written.elements:
        document.unknown(path, name, "本实体没有数据元", written.elements)
        return None
    try:
        return parse_format(written.elements[name].format)
    except ValueError:
        return None
