"""The table of names that differ from the draft's: what `spec/NAMES.md` holds."""

import re

from schema.registry import Registry


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
