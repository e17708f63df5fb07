"""Takes a data dictionary back from a workbook, or says of every cell that it cannot take why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schema.dictionary.cells import Reading, Refusal, Row, give_reason, read_rows
from schema.dictionary.sheets import HEAD_WORDS, JOINED, LISTED, SHEETS, WHEN, Column
from schema.dictionary.xlsx import Place, Unreadable, read_workbook
from schema.load import Specification, make_registry
from schema.problems import Path as Way
from schema.problems import Problems, did_you_mean
from schema.registry import Registry
from schema.written import Document

WORKBOOK = "工作簿"
LISTS = ("synonyms", "successors", "fact_date", "foreign_prefixes")
OWNERS = {"数据元": "实体", "关系": "实体", "代码": "代码表"}
"""To the rows of which sheet those of another belong."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a workbook says: the registry, if it was made, and every cell that could not be taken."""

    registry: Registry | None
    refusals: Sequence[Refusal]


def take_workbook(file: Path, partial: bool = False) -> Taken:
    """What the workbook says, or every cell that keeps it from being a specification; then there is no registry.

    With `partial`, rows with such a cell are left out, then the rows that need those, until the rest is a specification;
    all that is lost is among the refusals.
    """
    try:
        reading = read_rows(read_workbook(file))
    except Unreadable as error:
        return Taken(None, [Refusal(Place(WORKBOOK, 0, 0), "", str(error))])
    registry = _check(reading)
    while partial and registry is None:
        spoilt = {refusal.place for refusal in reading.refusals}
        if sum(_leave_out(rows, spoilt) for rows in reading.sheets.values()) == 0:
            break
        registry = _check(reading)
    return Taken(registry if partial or not reading.refusals else None, sorted(reading.refusals))


def _check(reading: Reading) -> Registry | None:
    """The registry that the rows make, or None with the cells that are wrong among the refusals."""
    files, places, texts = _specification(reading)
    try:
        return make_registry(files)
    except Problems as problems:
        for p in problems.problems:
            reading.refuse(places[p.line], texts[p.line], give_reason(p.what, p.suggestion))
    return None


def _leave_out(rows: list[Row], places: set[Place]) -> int:
    """Drop the rows with a refused cell; how many they were."""
    spoilt = {(place.sheet, place.row) for place in places}
    kept = [row for row in rows if (row.place.sheet, row.place.row) not in spoilt]
    dropped = len(rows) - len(kept)
    rows[:] = kept
    return dropped


@dataclass(slots=True)
class Builder:
    """Documents as if they had been written in YAML, whose lines are the numbers of cells."""

    reading: Reading
    places: list[Place] = field(default_factory=lambda: [Place(WORKBOOK, 0, 0)])
    texts: list[str] = field(default_factory=lambda: [""])

    def mark(self, document: Document, way: Way, place: Place, text: str = "") -> None:
        """Remember that what stands at `way` came from a cell."""
        self.places.append(place)
        self.texts.append(text)
        document.marks[way] = (len(self.places) - 1, 1)

    def put(self, document: Document, way: Way, row: Row, column: Column) -> None:
        """Put the value of a column where YAML would have it, if the cell holds one."""
        text = row.texts.get(column.title)
        if column.title in row.refused:
            document.repaired.add((*way, column.word))
        self.mark(document, (*way, column.word), row.at(column.title), row.given.get(column.title, ""))
        if text is None:
            return
        tree = document.tree
        for part in way:
            tree = tree[part]
        value = text.split(LISTED) if column.word in LISTS else text
        tree[column.word] = value
        if isinstance(value, list):
            for index in range(len(value)):
                self.mark(document, (*way, column.word, index), row.at(column.title), value[index])


def _specification(reading: Reading) -> tuple[Specification, list[Place], list[str]]:
    """The rows as the files they would be, and the place and text of every numbered cell."""
    builder = Builder(reading)
    head = Document("说明", {})
    builder.mark(head, (), Place("说明", 0, 0))
    for row in reading.sheets["说明"]:
        if (word := HEAD_WORDS.get(row.texts.get("项目", ""))) and "内容" not in row.refused:
            _once(head.tree, word, row, "项目", reading)
            builder.mark(head, (word,), row.at("内容"), row.texts.get("内容", ""))
            head.tree[word] = row.texts.get("内容", "")
    entities = _owners(builder, "实体", "entity")
    for name, document in entities.items():
        document.tree |= {"elements": {}, "relations": {}}
        _spell_out(builder, document, name)
    _members(builder, "数据元", entities, ("实体", "字段名"), "elements")
    _members(builder, "关系", entities, ("实体", "关系名"), "relations")
    tables = _owners(builder, "代码表", "codes")
    for document in tables.values():
        document.tree["members"] = {}
    _members(builder, "代码", tables, ("代码表", "成员名"), "members")
    files = Specification(head, tuple(tables.values()), tuple(entities.values()))
    return files, builder.places, builder.texts


def _once(known: Mapping[str, Any], name: str, row: Row, column: str, reading: Reading) -> bool:
    """Whether a name is there for the first time; if not the cell is refused."""
    if name in known:
        reading.refuse(row.at(column), name, "前面已有同名的一行")
        return False
    return True


def _owners(builder: Builder, title: str, word: str) -> dict[str, Document]:
    """A document for each row of the sheet of entities, or of code tables, by name."""
    found: dict[str, Document] = {}
    key = SHEETS[title][0].title
    for row in list(builder.reading.sheets[title]):
        name = row.texts.get(key, "")
        if key in row.refused:
            continue
        if not name:
            builder.reading.refuse(row.at(key), "", "必须填写")
            continue
        if not _once(found, name, row, key, builder.reading):
            continue
        document = found[name] = Document(f"{title}/{name}", {})
        builder.mark(document, (), row.place)
        for column in SHEETS[title]:
            builder.put(document, (), row, column)
        document.tree[word] = name
    return found


def _spell_out(builder: Builder, document: Document, name: str) -> None:
    """The cells of an entity that hold a structure: its identity, what is derived, and its conditional checks."""
    place = builder.places[document.marks[("identity",)][0]]
    combinations = [line for line in str(document.tree.pop("identity", "")).split("\n") if line]
    document.tree["identity"] = [[part.strip() for part in c.split(JOINED.strip())] for c in combinations]
    for i, combination in enumerate(document.tree["identity"]):
        builder.mark(document, ("identity", i), place, combinations[i])
        for j, part in enumerate(combination):
            builder.mark(document, ("identity", i, j), place, part)
    _spell_out_checks(builder, document, name)
    place = builder.places[document.marks[("derived",)][0]]
    written = document.tree.pop("derived", None)
    if written is None:
        return
    document.tree["derived"] = {}
    for line in written.split("\n"):
        derived, mark, sources = (part.strip() for part in line.partition("="))
        if not mark:
            builder.reading.refuse(place, line, f"{name} 的推导应写作：数据元 = 来源{LISTED}来源")
            continue
        document.tree["derived"][derived] = [source.strip() for source in sources.split(LISTED)]
        builder.mark(document, ("derived", derived), place, line)


def _spell_out_checks(builder: Builder, document: Document, name: str) -> None:
    place = builder.places[document.marks[("conditional_checks",)][0]]
    written = document.tree.pop("conditional_checks", None)
    rules = document.tree["conditional_checks"] = {}
    for line in written.split("\n") if written else ():
        (element, mark, check), *conditions = (
            [part.strip() for part in piece.partition("=")] for piece in line.split(WHEN.strip())
        )
        if not mark or element in rules or not all(equal for _, equal, _ in conditions):
            how = f"数据元 = 校验{WHEN}条件数据元 = 成员{LISTED}成员，每个数据元一行"
            builder.reading.refuse(place, line, f"{name} 的条件校验应写作：{how}")
            continue
        when = {other: [m.strip() for m in members.split(LISTED)] for other, _, members in conditions}
        rules[element] = {"check": check, "when": when}
        way: Way = ("conditional_checks", element)
        inner: list[Way] = [(), ("check",), ("when",)]
        inner += [
            ("when", o, *rest) for o, members in when.items() for rest in ((), *((i,) for i in range(len(members))))
        ]
        for rest in inner:
            builder.mark(document, (*way, *rest), place, line)


def _members(builder: Builder, title: str, owners: Mapping[str, Document], keys: tuple[str, str], word: str) -> None:
    """Put each row of a sheet into the document of what it belongs to."""
    columns = [c for c in SHEETS[title] if c.word and c.title not in keys]
    for row in builder.reading.sheets[title]:
        owner, name = (row.texts.get(key, "") for key in keys)
        if row.refused & set(keys):
            continue
        if owner not in owners:
            builder.reading.refuse(
                row.at(keys[0]), owner, give_reason(f"“{OWNERS[title]}”表中没有", did_you_mean(owner, owners))
            )
        elif not name:
            builder.reading.refuse(row.at(keys[1]), "", "必须填写")
        elif _once(owners[owner].tree[word], name, row, keys[1], builder.reading):
            document = owners[owner]
            document.tree[word][name] = {}
            builder.mark(document, (word, name), row.at(keys[1]), name)
            for column in columns:
                builder.put(document, (word, name), row, column)
