"""Rows that are written in bulk say what was told, whatever their texts hold: COPY's own words, quotes, ends of line, moments."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from contract_tests.stores import AGENCY, PARTY, case, database, listed, page, party, postgres, store, url, with_parties
from gateway.store import current as current_rows
from gateway.store.bulk import written
from gateway.store.cells import Constant
from gateway.store.tables import make_tables
from schema.formats import CHINA_TIME
from schema.load import load_registry

__all__ = ["database", "postgres", "store", "url"]

CASES = make_tables(load_registry()).entities["EnforcementCase"]
ODD_TEXTS = [
    "null",
    "\\.",
    "甲\n\\.\n乙",
    "\\N",
    "a\\tb",
    '说"罚"，\',\\',
    '","',
    '"],["',
    '"]\n["',
    "制表\t回车\r换行\n",
    "\\u0000",
    "\x01\x7f\x85\u2028",
    "𠮷\ufeff",
    "a\\",
    " ",
]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_odd_texts_are_kept_as_they_were_told(store, text):
    store.land(page(case("0"), case("1", case_name=text, officer_cert_nos=(text, "x")), case("2", case_name="乙")))
    kept = {
        one.mapped.key: one.mapped.values
        for one in store.by_keys("EnforcementCase", [f"{AGENCY}/{n}" for n in range(3)])
    }
    assert kept[f"{AGENCY}/1"]["case_name"] == text
    assert kept[f"{AGENCY}/1"]["officer_cert_nos"] == (text, "x")
    assert kept[f"{AGENCY}/2"]["case_name"] == "乙"


MOMENTS = [
    datetime(1, 1, 2, tzinfo=UTC),
    datetime(1900, 1, 1, 8, 5, 43, tzinfo=timezone(timedelta(hours=8, minutes=5, seconds=43))),
    datetime(2026, 2, 28, 23, 59, 59, tzinfo=CHINA_TIME),
    datetime(2026, 2, 28, 23, 59, 59, 1, tzinfo=CHINA_TIME),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=CHINA_TIME),
]


@pytest.mark.parametrize("moments", [[one] for one in MOMENTS] + [MOMENTS, [MOMENTS[2], None, MOMENTS[0]]])
def test_moments_and_days_are_kept_as_they_were_told(store, moments):
    told = [{} if at is None else {"recorded_at": at, "filed_date": at.date()} for at in moments]
    store.land(page(*(case(str(number), **values) for number, values in enumerate(told))))
    keys = [f"{AGENCY}/{number}" for number in range(len(told))]
    kept = {one.mapped.key: one.mapped.values for one in store.by_keys("EnforcementCase", keys)}
    for key, values in zip(keys, told, strict=True):
        assert (kept[key].get("recorded_at"), kept[key].get("filed_date")) == (
            values.get("recorded_at"),
            values.get("filed_date"),
        )


def test_a_moment_without_a_zone_is_refused(store):
    with pytest.raises(ValueError, match="时间没有时区"):
        store.land(page(case("1", recorded_at=datetime(2026, 1, 1))))


@given(st.lists(st.tuples(st.text(max_size=8), st.none() | st.integers(0, 9)), min_size=1, max_size=8))
def test_each_row_stands_alone(told):
    """A row is the same whatever stands beside it."""
    texts, numbers = zip(*told, strict=True)
    of_all = _written(texts, numbers)
    assert of_all == [row for one in told for row in _written([one[0]], [one[1]])]


def _written(texts, numbers):
    columns = {"case_name": list(texts), "involved_amount": list(numbers), "filed_date": Constant(date(2026, 1, 1))}
    try:
        form, rows = written(CASES, columns, len(texts), "postgresql")
    except UnicodeEncodeError:
        return [None] * len(texts)
    assert form.names == ("case_name", "involved_amount", "filed_date")
    return rows


@pytest.mark.parametrize("writes_rows", [True, False])
def test_lists_show_the_codes_that_were_given_out_and_those_that_were_told(store, writes_rows):
    own = "350100000199920260000017"
    told = page(case("1", case_name="有\t制表"), case("2"), case("3"))
    store.land(store.make_ready(told, writes_rows=writes_rows))
    store.land(store.make_ready(page(case("4", case_code=own), case("5"), received=101), writes_rows=writes_rows))
    current, identity = store.tables.current["EnforcementCase"], store.tables.identity
    shown = dict(store.database.read(lambda c: c.execute(select(current.c.key, current.c.case_code)).all()))
    given = dict(store.database.read(lambda c: c.execute(select(identity.c.natural_key, identity.c.value)).all()))
    assert shown == given
    assert len(shown) == len(set(shown.values())) == 5
    assert shown[f"{AGENCY}/4"] == own


def test_what_lists_show_of_new_entities_is_not_looked_up_again_where_it_is_written(store, monkeypatch):
    """On PostgreSQL; SQLite looks it up."""
    looked_up: list[str] = []
    copy = current_rows._copy
    monkeypatch.setattr(current_rows, "_copy", lambda *given: looked_up.append(given[3]) or copy(*given))
    store.land(store.make_ready(page(with_parties(case("1"), party(PARTY)), case("2")), writes_rows=True))
    expected = [] if store.database.engine.dialect.name == "postgresql" else ["EnforcementCase", "Party"]
    assert looked_up == expected
    assert listed(store, "EnforcementCase", 5)[0] == [f"{AGENCY}/1", f"{AGENCY}/2"]
    assert listed(store, "Party", 5)[0] == [PARTY]
