"""The changes graphql-core finds, in Chinese."""

import re
from collections.abc import Iterable

from graphql.utilities import BreakingChangeType, DangerousChangeType, SafeChangeType, SchemaChange

BREAKING, DANGEROUS, SAFE = "破坏性", "须留意", "兼容"
WORDS: dict[object, tuple[str, str]] = {
    BreakingChangeType.TYPE_REMOVED: (BREAKING, "删除类型"),
    BreakingChangeType.TYPE_CHANGED_KIND: (BREAKING, "类型的种类改变"),
    BreakingChangeType.TYPE_REMOVED_FROM_UNION: (BREAKING, "联合类型减少成员"),
    BreakingChangeType.VALUE_REMOVED_FROM_ENUM: (BREAKING, "删除枚举值"),
    BreakingChangeType.REQUIRED_INPUT_FIELD_ADDED: (BREAKING, "新增必填的输入字段"),
    BreakingChangeType.IMPLEMENTED_INTERFACE_REMOVED: (BREAKING, "不再实现接口"),
    BreakingChangeType.FIELD_REMOVED: (BREAKING, "删除字段"),
    BreakingChangeType.FIELD_CHANGED_KIND: (BREAKING, "字段类型改变"),
    BreakingChangeType.REQUIRED_ARG_ADDED: (BREAKING, "新增必填的参数"),
    BreakingChangeType.ARG_REMOVED: (BREAKING, "删除参数"),
    BreakingChangeType.ARG_CHANGED_KIND: (BREAKING, "参数类型改变"),
    BreakingChangeType.DIRECTIVE_REMOVED: (BREAKING, "删除指令"),
    BreakingChangeType.DIRECTIVE_ARG_REMOVED: (BREAKING, "删除指令的参数"),
    BreakingChangeType.REQUIRED_DIRECTIVE_ARG_ADDED: (BREAKING, "指令新增必填的参数"),
    BreakingChangeType.DIRECTIVE_REPEATABLE_REMOVED: (BREAKING, "指令不再可重复"),
    BreakingChangeType.DIRECTIVE_LOCATION_REMOVED: (BREAKING, "指令减少位置"),
    DangerousChangeType.VALUE_ADDED_TO_ENUM: (DANGEROUS, "新增枚举值"),
    DangerousChangeType.TYPE_ADDED_TO_UNION: (DANGEROUS, "联合类型新增成员"),
    DangerousChangeType.OPTIONAL_INPUT_FIELD_ADDED: (DANGEROUS, "新增可选的输入字段"),
    DangerousChangeType.OPTIONAL_ARG_ADDED: (DANGEROUS, "新增可选的参数"),
    DangerousChangeType.IMPLEMENTED_INTERFACE_ADDED: (DANGEROUS, "新实现接口"),
    DangerousChangeType.ARG_DEFAULT_VALUE_CHANGE: (DANGEROUS, "参数默认值改变"),
    DangerousChangeType.INPUT_FIELD_DEFAULT_VALUE_CHANGE: (DANGEROUS, "输入字段默认值改变"),
    SafeChangeType.TYPE_ADDED: (SAFE, "新增类型"),
    SafeChangeType.OPTIONAL_INPUT_FIELD_ADDED: (SAFE, "新增可选的输入字段"),
    SafeChangeType.OPTIONAL_ARG_ADDED: (SAFE, "新增可选的参数"),
    SafeChangeType.DIRECTIVE_ADDED: (SAFE, "新增指令"),
    SafeChangeType.FIELD_ADDED: (SAFE, "新增字段"),
    SafeChangeType.DIRECTIVE_REPEATABLE_ADDED: (SAFE, "指令改为可重复"),
    SafeChangeType.DIRECTIVE_LOCATION_ADDED: (SAFE, "指令新增位置"),
    SafeChangeType.OPTIONAL_DIRECTIVE_ARG_ADDED: (SAFE, "指令新增可选的参数"),
    SafeChangeType.FIELD_CHANGED_KIND_SAFE: (SAFE, "字段类型放宽或收窄而不影响现有查询"),
    SafeChangeType.ARG_CHANGED_KIND_SAFE: (SAFE, "参数类型放宽"),
    SafeChangeType.ARG_DEFAULT_VALUE_ADDED: (SAFE, "参数新增默认值"),
    SafeChangeType.INPUT_FIELD_DEFAULT_VALUE_ADDED: (SAFE, "输入字段新增默认值"),
    SafeChangeType.DESCRIPTION_CHANGED: (SAFE, "说明文字改变"),
}
LED_BY = "A required field|An optional field|(?:A required|An optional) argument|Argument|Field|Enum value|Directive"
SENTENCE = re.compile(
    rf"(?:(?:{LED_BY}) )?(?P<place>@?\w+(?:\.\w+)?(?:\(\w+:\))?)"
    r"(?: was (?:added|removed)| (?:has )?changed (?:type |defaultValue )?from (?P<old>.+) to (?P<new>.+))\."
)


def in_words(changes: Iterable[SchemaChange]) -> list[str]:
    """One line for each sort of change, the breaking ones first, with the places it touches; descriptions are counted."""
    places: dict[object, list[str]] = {sort: [] for sort in WORDS}
    for change in changes:
        places[change.type].append(_place(change.description))
    described = len(places.pop(SafeChangeType.DESCRIPTION_CHANGED))
    lines = [f"{'：'.join(WORDS[sort])}：{'、'.join(listed)}" for sort, listed in places.items() if listed]
    return lines + ([f"说明文字：{described} 处"] if described else [])


def _place(sentence: str) -> str:
    read = SENTENCE.fullmatch(sentence)
    if read is None:
        return sentence.removesuffix(".")
    return f"`{read['place']}`" + (f"（`{read['old']}` 改为 `{read['new']}`）" if read["old"] else "")
