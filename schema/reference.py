"""The data dictionary as one static page: entities, data elements, relations and code tables, searchable, offline."""

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from schema.names import camel, describe_lookups, list_field, root_field
from schema.registry import CodeTable, Element, Entity, Registry
from schema.types import NEEDS

STYLE = """
body { font: 15px/1.6 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; margin: 0 auto;
  max-width: 76rem; padding: 1rem 1.5rem 4rem; color: #1b1f24; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #d0d7de }
table { border-collapse: collapse; width: 100%; font-size: .9rem } th, td { text-align: left; padding: .3rem .6rem .3rem 0;
  vertical-align: top; border-bottom: 1px solid #eaeef2 } code { font-size: .88em } .note { color: #57606a }
input { font: inherit; width: 100%; padding: .4rem .6rem; margin: .8rem 0; box-sizing: border-box } [hidden] { display: none }
"""
SCRIPT = """
const box = document.getElementById("search");
box.addEventListener("input", () => {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("section")) {
    const head = section.querySelector("h2").textContent.toLowerCase();
    let any = false;
    for (const row of section.querySelectorAll("tbody tr")) {
      const text = head + " " + row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      any = any || !row.hidden;
    }
    section.hidden = !any;
  }
});
"""


def write_reference(registry: Registry, folder: Path) -> Path:
    """Write `index.html` into `folder` and return its path; needs nothing from outside to be read."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    page.write_text("\n".join(_page(registry)), encoding="utf-8")
    return page


def names_table(registry: Registry) -> str:
    """Markdown: every element whose name is not plainly the draft's in snake_case. What `spec/NAMES.md` holds."""
    lines = [
        "# 名称对照",
        "",
        "草案（data_elements.md）的 identifier 与规范中的名称，只列不是直接改写为 snake_case 的数据元；依据 DESIGN §5。",
        "本表由 `gateway names` 生成，测试保证它与规范一致。",
        "",
        "| 标识 | 实体 | 草案 | 规范 | 中文名 |",
        "|---|---|---|---|---|",
    ]
    for entity in registry.entities.values():
        for element in entity.elements.values():
            if element.name != re.sub(r"(?=[A-Z])", "_", element.draft_name).lower():
                cells = (element.id, entity.name, f"`{element.draft_name}`", f"`{element.name}`", element.title)
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _page(registry: Registry) -> Iterator[str]:
    yield '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>数据字典 · 闽执法数据联邦网关</title>'
    yield f"<style>{STYLE}</style></head><body><h1>数据字典</h1>"
    yield (
        f'<p class="note">规范版本 {escape(registry.version)}。标识 ZFxxxxx 为临时内部标识符，不是官方编号；'
        "★ 为首批核心数据元。</p>"
    )
    yield '<input id="search" type="search" placeholder="按中文名、标识、字段名、格式或代码表查找">'
    for entity in registry.entities.values():
        yield from _entity(entity)
    for table in registry.codes.values():
        yield from _codes(table)
    yield f"<script>{SCRIPT}</script></body></html>"


def _entity(entity: Entity) -> Iterator[str]:
    yield f'<section id="{entity.name}"><h2>{escape(entity.title)} <code>{entity.name}</code></h2>'
    asked = f"按键：<code>{root_field(entity)}</code>（{escape(describe_lookups(entity))}）；列表：<code>{list_field(entity)}</code>"
    yield f"<p>{escape(entity.description)}</p><p class='note'>{asked}</p>"
    yield "<table><thead><tr><th>标识<th>字段<th>中文名<th>格式<th>约束<th>值域<th>说明与依据</tr></thead><tbody>"
    yield from map(_element, entity.elements.values())
    for relation in entity.relations.values():
        leads = f'<a href="#{relation.to}">{relation.to}</a>' + ("（多个）" if relation.many else "")
        yield f"<tr><td>关系<td><code>{camel(relation.name)}</code><td>{escape(relation.title)}<td colspan='4'>{leads}</tr>"
    yield "</tbody></table></section>"


def _element(element: Element) -> str:
    table = f'<a href="#codes-{element.codes}">{element.codes}</a>' if element.codes else ""
    notes = "；".join(part for part in (element.description, element.condition, element.basis) if part)
    cells = (
        element.id + ("★" if element.core else ""),
        f"<code>{camel(element.name)}</code>",
        escape(element.title),
        escape(element.format.text + (f"（{element.unit}）" if element.unit else "")),
        NEEDS[element.need],
        table,
        escape(notes),
    )
    return f"<tr>{''.join(f'<td>{cell}' for cell in cells)}</tr>"


def _codes(table: CodeTable) -> Iterator[str]:
    yield f'<section id="codes-{table.name}"><h2>{escape(table.title)} <code>{table.name}</code> {escape(table.id)}</h2>'
    yield f'<p class="note">{escape(table.basis)}</p>'
    yield "<table><thead><tr><th>代码<th>成员<th>含义<th>有效期与承接</tr></thead><tbody>"
    for code in table.members.values():
        until = f"至 {code.valid_to}" if code.valid_to else ""
        successors = f"，承接 {'、'.join(code.successors)}" if code.successors else ""
        yield f"<tr><td>{code.code}<td><code>{code.member}</code><td>{escape(code.title)}<td>{until}{successors}</tr>"
    yield "</tbody></table></section>"
