"""Compiled mappings say of every record, however odd, what `map_record` says of it; and of it only what is wanted."""

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.mapping.compiled import Compiled, Compiler
from adapters.mapping.compiled_values import MOST_REMEMBERED, Irregular, Memo, reader
from adapters.mapping.load import load_mapping, load_mappings
from adapters.mapping.model import EntityMapping, Field, SourceMapping
from adapters.mapping.paths import parse_path
from adapters.mapping.record import Mapped, map_record, read_value
from adapters.mapping.wants import NOTHING, Want
from adapters.source import Record
from contract_tests.expectations import hash_id, samples_of
from contract_tests.federation import copy_mappings
from schema.identifiers import uscc_check_digit
from schema.load import load_registry

REGISTRY = load_registry()
TODAY = date(2026, 6, 1)
ODD_PATHS = {
    "undertake_dept:          CBKS": "undertake_dept:          {path: CB.KS}",
    "violation_place:         WFDD": "violation_place:         {path: WF.DD.WZ}",
    '{path: "ZFRY[].ZFZH", ref: Officer.cert_no}': '{path: "ZFRY[].ZJ.ZH", split: [";"], ref: Officer.cert_no}',
    '{path: "DSR[]", entity: Party}': '{path: "DSRXX.DSR[]", entity: Party}',
    "phone:            {path: LXDH}": "phone:            {path: LXXX.DH}",
    "{value: 11350100MB0A00018J, ref": "{path: ZFZT.DM, ref",
}
"""The market's mapping with longer ways to the same things."""
TREES = {
    "CB": {"KS": "执法二科"},
    "WF": {"DD": {"WZ": "海滨路 1 号"}},
    "ZFRY": [{"ZJ": {"ZH": "35010020240001;35010020240002"}}],
    "DSRXX": {"DSR": [{"MC": "甲", "LX": "1", "TYSHXYDM": "91350100M000100Y43", "LXXX": {"DH": "1"}}]},
    "ZFZT": {"DM": "11350100MB0A00018J"},
}
ODD = (
    *(None, "", " ", "　", "无", "0", "1", "99", "-1", "1e3", "０１", " 1 ", "是", "true"),
    *("2024-02-30", "2024-01-05", " 2024-01-05 ", "0999-01-01", "2024-1-5", "2024/01/05", "20240105"),
    *("2024-01-05 10:00:00", "2024-01-05 24:00:00", "2024-01-05T10:00:00", "1990-07-01 00:30:00", "1704067200000"),
    *("12.345", "1,000.10", "123456789012345", "12.", ".5", "+3", "Infinity", "350182", "350102", "359999"),
    *("91350100M000100Y43", "91350100m000100y43", "91350100M000100Y44", "11350100MB0A00018J", "35010219900101001X"),
    *("a\0b", "\ufffd", "\ud800", "e\u0301", "行\n二", "甲" * 5000, "1,2，9", "1|2|", "A;A;B"),
    *([], [None], ["1", "2"], [["1"]], [{}], {}, {"": "1", "@a": "b"}, {"": "91350100M000100Y43"}, {"x": {"y": "z"}}),
    *(5, 1.5, True, ("1",)),
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SourceMapping]:
    """Every shipped mapping, and one with longer paths."""
    folder = tmp_path_factory.mktemp("odd")
    file = copy_mappings(folder, "binhai_market") / "binhai_market" / "mapping.yaml"
    text = file.read_text("utf-8")
    for written, instead in ODD_PATHS.items():
        assert written in text
        text = text.replace(written, instead)
    text = text.replace("      requires: [agency_code]\n", "")  # one of those paths makes it no filter any more
    file.write_text(text, "utf-8")
    return {**load_mappings(REGISTRY), "odd": load_mapping(REGISTRY, file.parent)}


@pytest.fixture(scope="module")
def samples(sources: dict[str, SourceMapping]) -> dict[tuple[str, str], list[Record]]:
    found = {(n, e): r for n, m in sources.items() for e, r in samples_of(m).items()}
    return {
        place: [{**r, **TREES} for r in records] if place[0] == "odd" else records for place, records in found.items()
    }


@pytest.fixture(scope="module")
def compiler() -> Compiler:
    return Compiler(hash_id)


def test_every_shipped_mapping_is_compiled_and_needs_care_only_where_something_is_wrong(
    sources: dict[str, SourceMapping], samples: dict[tuple[str, str], list[Record]]
) -> None:
    compiler = Compiler(hash_id)
    for (source, entity), records in samples.items():
        told = [map_record(sources[source], entity, record, hash_id, TODAY) for record in records]
        compiled = compiler.compiled(sources[source], entity, None)
        assert compiled.page(records, TODAY) == told
        wrong = sum(bool(mapped.issues) or not all(map(is_known, inside(mapped))) for mapped in told)
        assert compiled.careful <= wrong, (source, entity)


def inside(mapped: Mapped) -> Iterator[Mapped]:
    yield mapped
    for children in mapped.embedded.values():
        for child in children:
            yield from inside(child)


def is_known(mapped: Mapped) -> bool:
    return mapped.is_identified


@given(data=st.data())
@settings(max_examples=250, deadline=None)
def test_whatever_is_in_a_record_the_compiled_mapping_tells_the_same(
    data: st.DataObject,
    sources: dict[str, SourceMapping],
    samples: dict[tuple[str, str], list[Record]],
    compiler: Compiler,
) -> None:
    source, entity = data.draw(st.sampled_from(sorted(samples)))
    mapping, record = sources[source], spoilt(data, samples[source, entity])
    told_on = data.draw(st.sampled_from([TODAY, date(2014, 1, 1)]))
    told = map_record(mapping, entity, record, hash_id, told_on)
    assert compiler.compiled(mapping, entity, None).page([record], told_on) == [told]
    wants = drawn_wants(data, mapping, entity)
    expected = restricted(told, mapping, wants)
    assert map_record(mapping, entity, record, hash_id, told_on, wants) == expected
    compiled = compiler.compiled(mapping, entity, frozenset(wants.items()))
    assert compiled.page([record], told_on) == [expected], compiled.text


def spoilt(data: st.DataObject, records: list[Record]) -> Any:
    """A sample of which some values were changed, left out, or doubled."""
    record: Any = copy.deepcopy(dict(data.draw(st.sampled_from(records))))
    for _ in range(data.draw(st.integers(0, 4))):
        node: Any = record
        while True:
            place: Any = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
            below = node[place]
            if not isinstance(below, dict | list) or not below or data.draw(st.booleans()):
                break
            node = below
        change = data.draw(st.sampled_from(["odd", "odd", "odd", "gone", "double", "other"]))
        if change == "gone" and isinstance(node, dict):
            del node[place]
        elif change == "double" and isinstance(node[place], list):
            node[place] = node[place] * 2
        elif change == "other":
            node[place] = data.draw(st.sampled_from(records)).get(place)
        else:
            node[place] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
        if not record:
            break
    return record


def drawn_wants(data: st.DataObject, mapping: SourceMapping, entity: str) -> dict[str, Want]:
    """Some elements and relations of the entity, and of what is embedded along the relations that are followed."""
    form = mapping.entities[entity]
    elements = data.draw(st.frozensets(st.sampled_from(sorted(form.entity.elements)), max_size=8))
    mentioned = sorted({*form.references, *form.embedded, *(n for n, r in form.entity.relations.items() if r.is_told)})
    relations = data.draw(st.frozensets(st.sampled_from(mentioned), max_size=4)) if mentioned else frozenset()
    want = Want(elements, relations, data.draw(st.booleans()) and data.draw(st.booleans()))
    wants = {entity: want}
    for name in followed(form, want):
        wants |= drawn_wants(data, mapping, form.embedded[name].to)
    return wants


def followed(form: EntityMapping, want: Want) -> list[str]:
    by = {name: form.entity.relations[name].by for name in form.embedded}
    return [n for n in form.embedded if n in want.relations or (by[n] and (want.is_whole or by[n] in want.elements))]


def restricted(told: Mapped, mapping: SourceMapping, wants: dict[str, Want]) -> Mapped:
    """What is wanted of it, said once more in other words than the code's."""
    want, form = wants.get(told.entity, NOTHING), mapping.entities[told.entity]
    kept = {n: [restricted(c, mapping, wants) for c in told.embedded[n]] for n in followed(form, want)}
    return Mapped(
        told.entity,
        told.key,
        told.owner,
        {name: value for name, value in told.values.items() if want.is_whole or name in want.elements},
        {},
        {name: keys for name, keys in told.refs.items() if name in want.relations},
        {name: tuple(children) for name, children in kept.items() if name in want.relations},
        [issue for issue in told.issues if issue.element in issue_names(mapping, wants).get(issue.entity, ())],
        False,
    )


def issue_names(mapping: SourceMapping, wants: dict[str, Want]) -> dict[str, set[str]]:
    """By entity, the fields whose issues are told; a list where one was expected is an issue of the first field inside."""
    names: dict[str, set[str]] = {}
    for entity, want in wants.items():
        form = mapping.entities[entity]
        names[entity] = {*want.elements, *want.relations}
        names[entity] |= {n for n, r in form.entity.relations.items() if r.by in want.elements}
        names[entity] |= {next(iter(mapping.entities[form.embedded[n].to].fields)) for n in followed(form, want)}
    return names


def test_a_want_is_compiled_once_and_what_was_not_used_for_longest_is_let_go(
    sources: dict[str, SourceMapping], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.mapping.compiled.MOST_KEPT", 2)
    compiler, market = Compiler(hash_id), sources["binhai_market"]

    def compiled(element: str) -> Compiled:
        return compiler.compiled(
            market, "EnforcementCase", frozenset({("EnforcementCase", Want(frozenset({element})))})
        )

    first, second = compiled("case_name"), compiled("filed_date")
    assert compiled("case_name") is first
    compiled("is_major")
    assert compiled("case_name") is first
    assert compiled("filed_date") is not second


def test_only_what_is_wanted_is_read(sources: dict[str, SourceMapping]) -> None:
    wants = frozenset({("EnforcementCase", Want(frozenset({"case_name"})))})
    compiled = Compiler(hash_id).compiled(sources["binhai_market"], "EnforcementCase", wants)
    record = {"AJBH": "1", "AJMC": "甲案", "LASJ": ["no", "date"], "DSR": "nobody", "SAJE": "many", "GXSJ": {}}
    (mapped,) = compiled.page([record], None)
    assert (mapped.values, mapped.issues, compiled.careful) == ({"case_name": "甲案"}, [], 0)


OWN_NAMES = {
    *(
        "BLANK",
        "Mapped",
        "NONE",
        "NOTHING",
        "any",
        "c",
        "child",
        "code",
        "date",
        "day",
        "dict",
        "embedded",
        "find",
        "get",
    ),
    *(
        "hash_id",
        "irregular",
        "isinstance",
        "isprintable",
        "k",
        "key",
        "keys",
        "len",
        "list",
        "map",
        "node",
        "provenance",
    ),
    *("record", "refs", "str", "strip", "told_on", "tuple", "type", "v", "values", "x"),
}
"""What compiled code may mention besides what it numbers."""


def test_no_text_of_a_mapping_stands_in_the_code(sources: dict[str, SourceMapping], compiler: Compiler) -> None:
    for source in sources.values():
        for entity in source.entities:
            tree = ast.parse(compiler.compiled(source, entity, None).text)
            texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
            names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
            names |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
            assert texts <= {"/", ""}
            assert all(re.fullmatch(r"v\d+|[a-z]+_\d+", name) or name in OWN_NAMES for name in names), names


def test_memory_of_values_is_bounded() -> None:
    memo = Memo(len)
    assert [memo["x" * n] for n in (1, 2, 100)] == [1, 2, 100]
    assert list(memo) == ["x", "xx"]
    for n in range(MOST_REMEMBERED * 2):
        assert memo[str(n)] == len(str(n))
    assert len(memo) <= MOST_REMEMBERED


def quick_fields() -> list[Field]:
    """Fields of every kind that is converted faster than `convert` does it."""
    kinds = ("date", "datetime", "money", "integer", "boolean", "uscc")
    forms = [e for m in load_mappings(REGISTRY).values() for e in m.entities.values()]
    fields = [f for e in forms for f in (*e.fields.values(), *e.provenance.values())]
    fields = [replace(f, path=parse_path("x"), split=()) for f in fields if f.path and not f.element.format.many]
    by_form = {(f.form.as_, f.form.format, f.form.unit): f for f in fields if f.form and f.form.as_ in kinds}
    return list(by_form.values())


DIGITS = st.text("0123456789", max_size=14)
MOMENTS = st.datetimes().map(lambda m: f"{m:%Y}".zfill(4) + f"{m:-%m-%d %H:%M:%S}")
TEXTS = st.one_of(
    st.sampled_from([odd for odd in ODD if isinstance(odd, str)]),
    MOMENTS,
    MOMENTS.map(lambda text: text[:10]),
    MOMENTS.map(lambda text: text[:10].replace("-", "/")),
    st.tuples(MOMENTS, st.integers(0, 18), st.sampled_from("0129 -/:T٣x")).map(
        lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + 1 :]
    ),
    st.integers(0, 10**15 - 1).map(lambda n: (body := f"91{n:015d}") + uscc_check_digit(body)),
    st.text("0123456789ABCDEFGHJKLMNPQRTUWXY", min_size=17, max_size=17).map(lambda b: b + uscc_check_digit(b)),
    st.tuples(DIGITS, st.sampled_from(["", ".", ",", "．"]), DIGITS).map("".join),
)


@given(text=TEXTS)
@example(text="2000-01-01 00:00-00")  # ISO 8601 would have it a time of day with an offset
@settings(max_examples=300, deadline=None)
def test_a_value_converted_quickly_is_the_value_and_nothing_wrong_is_taken(text: str) -> None:
    for f in QUICK:
        bad: list[Any] = []
        expected = read_value(f, {"x": text}, bad)
        try:
            found = reader(f)(text)
        except (Irregular, ValueError):
            assert bad, (f.name, text)
        else:
            assert (found, bad) == (expected, []), (f.name, text)


QUICK = quick_fields()


def test_there_are_quick_ways_to_be_tested() -> None:
    assert {f.form.as_ for f in QUICK if f.form} == {"date", "datetime", "money", "integer", "boolean", "uscc"}
