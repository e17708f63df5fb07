"""One written field becomes a Field, Reference or Embedded, checked against the specification."""

from collections.abc import Callable, Mapping

from adapters.mapping.convert import converter, printer
from adapters.mapping.model import PROVENANCE_FIELDS, Embedded, Field, Reference
from adapters.mapping.paths import RecordPath, parse_path
from adapters.mapping.record import BadValue
from adapters.mapping.written import FieldForm, MappingForm
from schema.doc_numbers import normal_doc_no
from schema.formats import CHECKS, DOUBTS, Format, check_value, parse_format
from schema.problems import Path
from schema.registry import CodeTable, Element, Entity, Registry
from schema.written import Document

KINDS_OF = {
    "date": "date",
    "datetime": "datetime",
    "money": "money",
    "integer": "number",
    "boolean": "boolean",
    "json": "structure",
}
OTHERWISE = ("issue", "quarantine")
WORDS_FOR = {
    "format": ("date", "datetime"),
    "zone": ("datetime",),
    "unit": ("money",),
    "yes": ("boolean",),
    "no": ("boolean",),
}


class FieldMaker:
    """Makes the fields of one mapping; mistakes go to its document."""

    def __init__(self, document: Document, form: MappingForm, registry: Registry) -> None:
        self.document, self.form, self.registry = document, form, registry

    def check_code_maps(self) -> None:
        """Every code map is used by some field; one that is not is a mistake."""
        used = {f.codes for e in self.form.entities.values() for f in e.fields.values() if f.codes}
        for name in self.form.codes.keys() - used:
            self.document.unknown(("codes", name), name, "没有字段使用代码映射", used)

    def make(self, entity: Entity, word: str, form: FieldForm, path: Path) -> Field | Reference | Embedded | None:
        """What `word` of `entity` is, or None with the mistakes recorded."""
        if (form.path is None) == (form.value is None):
            self.document.problem(path, "path 与 value 必须且只能写一个")
            return None
        if word in entity.relations:
            return self._relation(entity, word, form, path)
        if word in PROVENANCE_FIELDS and word not in entity.elements:
            element = Element(word, "", word, parse_format(PROVENANCE_FIELDS[word]), "O")
            return self._field(word, element, form, path)
        if word not in entity.elements:
            known = [*entity.elements, *entity.relations, *PROVENANCE_FIELDS]
            self.document.unknown(path, word, f"规范的 {entity.name} 没有数据元", known)
            return None
        for extra in ("ref", "entity"):
            if getattr(form, extra) is not None:
                self.document.problem((*path, extra), f"{extra} 只用于关系，{word} 是数据元")
        return self._field(word, entity.elements[word], form, path)

    def _relation(self, entity: Entity, word: str, form: FieldForm, path: Path) -> Reference | Embedded | None:
        relation = entity.relations[word]
        target = self.registry.entities[relation.to]
        if form.entity is not None:
            if form.entity != target.name:
                self.document.unknown((*path, "entity"), form.entity, f"{word} 通向 {target.name}，不是", [target.name])
                return None
            found = self._path(path, form.path or ".")
            if found.many and not relation.many:
                self.document.problem((*path, "path"), f"{word} 只有一个，路径却是列表")
            return Embedded(word, found, target.name)
        if form.ref is None:
            self.document.problem(path, f"{word} 是关系：写 ref: {target.name}.<数据元>，或 entity: {target.name}")
            return None
        name, _, element = form.ref.partition(".")
        identifying = [f"{target.name}.{e}" for c in (*target.identity, *target.derived.values()) for e in c]
        told = {*target.elements} - {target.allotted}  # no source knows what the gateway itself gives out
        known = [ref for ref in dict.fromkeys(identifying) if ref.split(".")[1] in told]
        if form.ref not in known or name != target.name:
            self.document.unknown((*path, "ref"), form.ref, "ref 应指向能识别对方的数据元，不是", known)
            return None
        if relation.inverse is not None and not relation.many:
            self.document.problem(path, f"{word} 由对方记录，不能在此填写")
            return None
        field = self._field(word, target.elements[element], form, path)
        return Reference(word, target, field) if field else None

    def _field(self, word: str, element: Element, form: FieldForm, path: Path) -> Field | None:
        self._check_words(element, form, path)
        lookup = self._codes(element, form, path)
        base = converter(form)
        table = self.registry.codes.get(element.codes or "")
        convert = _whole_conversion(element, base, lookup, table)
        found = self._path(path, form.path) if form.path is not None else None
        if word == element.name and found is not None and (found.many or form.split) and not element.format.many:
            self.document.problem((*path, "path"), f"{word} 只有一个值，路径或 split 却给出列表")
        if form.value is not None:
            try:
                convert(form.value)
            except BadValue as error:
                self.document.problem((*path, "value"), f"固定值不合规范：{error}")
        prints = None if lookup or element.normal else printer(form)
        return Field(
            word,
            element,
            found,
            form.value,
            convert,
            prints,
            frozenset(form.blank),
            tuple(form.split or ()),
            DOUBTS.get(element.check or "") if found is not None else None,
            form,
        )

    def _check_words(self, element: Element, form: FieldForm, path: Path) -> None:
        wanted = element.format.kind
        given = KINDS_OF.get(form.as_ or "text", "text")
        table = self.registry.codes[element.codes] if element.codes else None
        if table and table.type:
            if form.codes is None:
                self.document.problem(path, f"{element.name} 的值域是代码表 {table.name}，请写 codes:")
        elif given != wanted:
            says = [word for word, kind in KINDS_OF.items() if kind == wanted] or ["text"]
            at = (*path, "as") if form.as_ else path
            self.document.problem(at, f"{element.name} 的格式是 {element.format.text}", f"应写 as: {says[0]}")
        if (
            form.as_ == "datetime"
            and form.zone is None
            and form.format
            and "%z" not in form.format
            and "epoch" not in form.format
        ):
            self.document.problem(path, "格式里没有时区，请写 zone:", "例如 zone: Asia/Shanghai")
        for word, kinds in WORDS_FOR.items():
            if getattr(form, word) is not None and form.as_ not in kinds:
                self.document.problem((*path, word), f"{word} 只与 as: {' / '.join(kinds)} 同用")

    def _codes(self, element: Element, form: FieldForm, path: Path) -> Mapping[str, object] | None:
        """The source's codes as members of the element's table; under "" stands what becomes of any other."""
        if form.codes is None:
            return None
        if form.codes not in self.form.codes:
            self.document.unknown((*path, "codes"), form.codes, "本映射没有代码映射", self.form.codes)
            return None
        if element.codes is None:
            self.document.problem((*path, "codes"), f"{element.name} 在规范中没有代码表")
            return None
        table = self.registry.codes[element.codes]
        written = dict(self.form.codes[form.codes])
        otherwise = written.pop("otherwise", "issue")
        for code, member in [*written.items(), ("otherwise", otherwise)]:
            if member not in table.members and not (code == "otherwise" and member in OTHERWISE):
                self.document.unknown(
                    ("codes", form.codes, code), member, f"代码表 {table.name} 没有成员", table.members
                )
        lookup: dict[str, object] = {"": otherwise, **written}
        return lookup

    def _path(self, path: Path, text: str) -> RecordPath:
        try:
            return parse_path(text)
        except ValueError as error:
            at = (*path, "path") if (*path, "path") in self.document.marks else path
            self.document.problem(at, str(error))
            return RecordPath(text, ())


def _whole_conversion(
    element: Element, base: Callable[[str], object], codes: Mapping[str, object] | None, table: CodeTable | None
) -> Callable[[str], object]:
    """Text to value with everything the mapping and the specification ask of it alone; raises BadValue."""
    if codes is not None:
        return lambda text: _member(codes, text)
    single = Format(element.format.text, element.format.kind, element.format.lengths)
    check = CHECKS.get(element.check or "")

    def convert(text: str) -> object:
        try:
            value = base(text)
        except (ValueError, OverflowError) as error:
            reason = str(error) if _is_ours(error) else "不合规定的格式"
            raise BadValue("06" if "分以下" in reason else "05" if "校验位" in reason else "02", reason) from None
        if element.normal == "doc_no":
            value = normal_doc_no(str(value))
        if check is not None:
            try:
                value = check(str(value))
            except ValueError as error:
                raise BadValue("05", str(error)) from None
        try:
            check_value(single, value)
        except ValueError as error:
            raise BadValue("03", str(error)) from None
        if table is not None and not table.takes(str(value)):
            raise BadValue("04", f"不在代码表“{table.title}”中")
        return value

    return convert


def _member(codes: Mapping[str, object], text: str) -> object:
    if text in codes and text:
        return codes[text]
    otherwise = codes[""]
    if otherwise in OTHERWISE:
        raise BadValue("04", "代码未在映射中登记", quarantine=otherwise == "quarantine")
    return otherwise


def _is_ours(error: Exception) -> bool:
    """Python's own messages are English and name internals; ours are Chinese."""
    return any("一" <= letter <= "鿿" for letter in str(error))
