"""What can only be judged when a whole record is read, compiled once for each entity of a mapping.

Only what can fail is compiled: a condition whose elements are mapped, a code that may not count on some day.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import Any

from adapters.mapping.model import Conditional, Dated, Field
from schema.formats import CHECKS
from schema.registry import Code, CodeTable, ConditionalCheck, Entity, Registry


def conditional_checks(entity: Entity, fields: Mapping[str, Field]) -> tuple[Conditional, ...]:
    """The entity's conditional checks that this mapping fills all elements of."""
    rules = entity.conditional_checks
    return tuple(
        Conditional(fields[rule.element], _checking(rule))
        for rule in rules
        if rule.element in fields and rule.when.keys() <= fields.keys()
    )


def _checking(rule: ConditionalCheck) -> Callable[[Any, Mapping[str, Any]], Any]:
    check, when = CHECKS[rule.check], tuple(rule.when.items())

    def judge(value: Any, values: Mapping[str, Any]) -> Any:
        return check(value) if all(values.get(name) in members for name, members in when) else value

    return judge


def dated_codes(
    fields: Mapping[str, Field], registry: Registry, reachable: Mapping[str, Collection[str]]
) -> tuple[Dated, ...]:
    """The fields that may hold a code with an end or a beginning. `reachable`: the members a field's code map leads to."""
    found = []
    for name, field in fields.items():
        table = registry.codes.get(field.element.codes or "")
        members = {} if table is None else table.members
        some = {m: c for m, c in members.items() if c.valid_from or c.valid_to}
        if name in reachable:
            some = {member: code for member, code in some.items() if member in reachable[name]}
        if some and table is not None:
            by_member = name in reachable
            codes = some if by_member else {code.code: code for code in some.values()}
            length = None if by_member else table.judged_length
            found.append(Dated(field, _doubting(table, codes, length), frozenset(codes), length))
    return tuple(found)


def _doubting(table: CodeTable, codes: Mapping[str, Code], length: int | None) -> Callable[[Any, date], str | None]:
    """Values are members where a code map made them, else codes of which only the first digits may be listed."""

    def doubt(value: Any, day: date) -> str | None:
        code = codes.get(value[:length])
        return None if code is None or code.is_valid_on(day) else _not_valid(table, code, day)

    return doubt


def _not_valid(table: CodeTable, code: Code, day: date) -> str:
    """`代码 350182（长乐市）有效至 2017-12-31，不适用于 2024-03-20，承接代码 350112（长乐区）`."""
    if code.valid_from and day < code.valid_from:
        return f"代码 {_named(code)}自 {code.valid_from} 起有效，不适用于 {day}"
    successors = "、".join(_named(table.by_code[successor]) for successor in code.successors)
    followed = f"，承接代码 {successors}" if successors else "，没有承接代码"
    return f"代码 {_named(code)}有效至 {code.valid_to}，不适用于 {day}{followed}"


def _named(code: Code) -> str:
    return f"{code.code}（{code.title}）"
