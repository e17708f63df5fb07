"""HTML as nested calls, and the frame every page of the reference stands in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lxml import etree

Piece = etree._Element | str | None
TITLE = "闽执法数据元规范"
SECTIONS = (
    ("index.html", "概览"),
    ("elements.html", "数据元"),
    ("codes/index.html", "代码表"),
    ("schema/index.html", "GraphQL 参考"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the reference: `path` from its root, and what stands on it. `section` is the one it belongs to."""

    path: str
    title: str
    section: str
    body: Sequence[Piece]


def tag(name: str, /, *children: Piece, **attributes: str) -> etree._Element:
    """An element; text is escaped when it is written out. `class_` and `for_` lose their underscore."""
    made = etree.Element(name, {key.rstrip("_"): value for key, value in attributes.items()})
    for child in children:
        if isinstance(child, str):
            _add_text(made, child)
        elif child is not None:
            made.append(child)
    return made


def link(target: str, *children: Piece, **attributes: str) -> etree._Element:
    """A link from a page one folder down; `print_page` mends it for pages at the root."""
    return tag("a", *children, href=f"../{target}", **attributes)


def code(text: str) -> etree._Element:
    """A name or a value as it is written in a program."""
    return tag("code", text)


def prose(text: str | None) -> list[Piece]:
    """A description, what stands between backticks set as code."""
    parts = (text or "").split("`")
    return [code(part) if place % 2 else part for place, part in enumerate(parts)] if len(parts) % 2 else [text]


def badge(text: str, kind: str = "") -> etree._Element:
    """A word in a box."""
    return tag("span", text, class_=f"badge {kind}".strip())


def table(head: Sequence[str], rows: Iterable[etree._Element], **attributes: str) -> etree._Element:
    """A table that scrolls by itself where the window is narrow."""
    columns = tag("tr", *(tag("th", name, scope="col") for name in head))
    return tag("div", tag("table", tag("thead", columns), tag("tbody", *rows), **attributes), class_="scroll")


def row(*cells: Piece | Sequence[Piece], **attributes: str) -> etree._Element:
    """A row; a cell is one piece or several."""
    made = [cell if isinstance(cell, Sequence) and not isinstance(cell, str) else (cell,) for cell in cells]
    return tag("tr", *(tag("td", *pieces) for pieces in made), **attributes)


def joined(pieces: Iterable[Piece], between: str = "、") -> list[Piece]:
    """The pieces with text between them."""
    found: list[Piece] = []
    for piece in pieces:
        found += [between, piece] if found else [piece]
    return found


def facts(*pairs: tuple[str, Piece | Sequence[Piece]]) -> etree._Element:
    """Names and what they are; those that are nothing are left out."""
    made = tag("dl", class_="facts")
    for name, value in pairs:
        pieces = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        if any(piece not in (None, "") for piece in pieces):
            made.append(tag("div", tag("dt", name), tag("dd", *pieces)))
    return made


def print_page(page: Page, version: str, aside: etree._Element | None) -> str:
    """The page as a file that needs nothing but the files beside it."""
    up = "../" * page.path.count("/")
    sections = (
        tag("a", name, href=up + path, **({"aria-current": "page"} if path == page.section else {}))
        for path, name in SECTIONS
    )
    box = tag(
        "input",
        id="search",
        type="search",
        placeholder="搜索：中文名、标识、字段名、代码",
        autocomplete="off",
        spellcheck="false",
        role="combobox",
        **{"aria-expanded": "false", "aria-controls": "results", "aria-label": "搜索"},
    )
    results = tag("div", id="results", role="listbox", hidden="hidden", **{"aria-label": "搜索结果"})
    header = tag(
        "header",
        tag("a", TITLE, href=f"{up}index.html", class_="home"),
        tag("div", box, tag("kbd", "/"), results, class_="search"),
        tag("nav", *sections, **{"aria-label": "栏目"}),
    )
    main = tag("main", tag("h1", *_heading(page.title)), *page.body)
    note = f"规范版本 {version}。标识 ZFxxxxx、CVxx 为临时内部标识符，不是官方编号。★ 为首批核心数据元。"
    columns = tag("div", *((aside,) if aside is not None else ()), main, class_="columns")
    root = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", f"{page.title} · {TITLE}"),
            tag("link", rel="icon", href="data:,"),
            tag("link", rel="stylesheet", href=f"{up}assets/style.css"),
            tag("script", src=f"{up}assets/index.js", defer="defer"),
            tag("script", src=f"{up}assets/search.js", defer="defer"),
        ),
        tag("body", header, columns, tag("footer", note), **{"data-root": up}),
        lang="zh-CN",
    )
    text: str = etree.tostring(root, method="html", encoding="unicode", doctype="<!doctype html>")
    return (text if up else text.replace('href="../', 'href="')) + "\n"


def _heading(title: str) -> list[Piece]:
    """A Chinese title with the name behind it set apart: `当事人 Party`."""
    front, _, name = title.rpartition(" ")
    return [front, " ", code(name)] if front and name.isascii() else [title]


def _add_text(made: etree._Element, text: str) -> None:
    if len(made):
        made[-1].tail = (made[-1].tail or "") + text
    else:
        made.text = (made.text or "") + text
