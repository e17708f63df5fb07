"""The pages of code tables: what each code means, when it is valid, and what took its place."""

from collections.abc import Iterator

from lxml import etree

from schema.reference.html import Page, Piece, badge, code, facts, joined, link, row, table, tag
from schema.registry import Code, CodeTable, Registry


def code_pages(registry: Registry) -> Iterator[Page]:
    """A page for each code table, and one that lists them."""
    for listed in registry.codes.values():
        yield _table_page(registry, listed)
    head = ("标识", "名称", "标识名", "枚举", "代码数", "依据")
    rows = (
        row(
            tag("span", listed.id, class_="id"),
            link(f"codes/{listed.name}.html", listed.title),
            code(listed.name),
            code(listed.type) if listed.type else "—",
            str(len(listed.members)),
            listed.basis,
        )
        for listed in registry.codes.values()
    )
    yield Page("codes/index.html", "代码表", "codes/index.html", [table(head, rows)])


def _table_page(registry: Registry, listed: CodeTable) -> Page:
    users = [
        link(f"entities/{entity.name}.html#{element.id}", f"{entity.title} · {element.title}")
        for entity in registry.entities.values()
        for element in entity.elements.values()
        if element.codes == listed.name
    ]
    retired = sum(member.valid_to is not None for member in listed.members.values())
    size = f"{len(listed.members)} 个代码" + (f"，其中停用 {retired} 个" if retired else "")
    body: list[Piece] = [
        facts(
            ("标识", tag("span", listed.id, class_="id")),
            ("GraphQL 枚举", code(listed.type) if listed.type else "不作枚举，按代码传输"),
            ("版本", listed.version),
            ("依据", listed.basis),
            ("规模", size),
            ("采用的数据元", joined(users)),
        ),
        table(
            ("代码", "含义", "成员", "有效期", "承接"),
            (_code_row(listed, member) for member in listed.members.values()),
        ),
    ]
    return Page(f"codes/{listed.name}.html", f"{listed.title} {listed.name}", "codes/index.html", body)


def _code_row(listed: CodeTable, member: Code) -> etree._Element:
    before = [other for other in listed.members.values() if member.code in other.successors]
    after = [listed.by_code[successor] for successor in member.successors]
    moved: list[Piece] = []
    if after:
        moved += ["由 ", *joined(map(_to_code, after)), " 承接"]
    if before:
        moved += ["；" if after else None, "承接 ", *joined(map(_to_code, before))]
    return row(
        tag("code", member.code, class_="id"),
        member.title,
        code(member.member) if member.member != member.code else "—",
        _validity(member),
        moved,
        id=f"code-{member.code}",
        **({"class_": "retired"} if member.valid_to else {}),
    )


def _to_code(member: Code) -> etree._Element:
    return tag("a", f"{member.code} {member.title}", href=f"#code-{member.code}")


def _validity(member: Code) -> list[Piece]:
    since = f"{member.valid_from} 起" if member.valid_from else ""
    if member.valid_to:
        return [badge("停用", "retired"), f" {since}至 {member.valid_to}"]
    return [badge("现行", "current"), f" {since}" if since else None]


def code_path(listed: CodeTable, member: Code) -> str:
    """Where a code stands."""
    return f"codes/{listed.name}.html#code-{member.code}"
