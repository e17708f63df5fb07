"""The indexes of what lists read: few, by rule, the same on every database, and those that nobody wants any more are dropped."""

from dataclasses import replace

from sqlalchemy import inspect, text

from contract_tests.stores import PARTY, REGISTRY, database, opened, page, party, postgres, store, url
from gateway.store.store import Store

__all__ = ["database", "postgres", "store", "url"]
CASES = {
    ("owner_agency_code",),
    ("case_code", "key"),
    ("source_case_no", "key"),
    ("matter_code", "key"),
    ("violation_start_date", "key"),
    ("filed_date", "key", "case_status"),
    ("agency_code", "filed_date", "key", "case_status"),
    ("violation_division_code", "filed_date", "key", "case_status"),
}


def indexes(store: Store, table: str) -> dict[str, tuple[str | None, ...]]:
    return {str(i["name"]): tuple(i["column_names"]) for i in inspect(store.database.engine).get_indexes(table)}


def test_cases_are_found_by_number_matter_and_time_and_by_time_within_an_agency_or_a_division(store):
    assert set(indexes(store, "current_enforcement_case").values()) == CASES


def test_what_may_be_absent_is_indexed_where_it_is_told(store):
    (found,) = (
        i for i in inspect(store.database.engine).get_indexes("current_party") if i["column_names"] == ["uscc", "key"]
    )
    assert "uscc" in str(found["dialect_options"].get("postgresql_where", found["dialect_options"].get("sqlite_where")))
    plan = "EXPLAIN QUERY PLAN" if store.database.engine.dialect.name == "sqlite" else "EXPLAIN"
    query = text(f"{plan} SELECT key FROM current_party WHERE uscc = '{PARTY}'")

    def explain(connection):
        if plan == "EXPLAIN":
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        return str(connection.execute(query).all())

    with store.database.engine.connect() as connection:
        assert str(found["name"]) in explain(connection)


def test_an_index_that_the_rule_no_longer_wants_is_dropped_and_a_person_s_own_stays(url):
    whole = REGISTRY.entities["Party"]
    named = replace(whole.elements["legal_rep_name"], need="M")
    as_before = replace(whole, elements={**whole.elements, "legal_rep_name": named})
    older = Store(url, replace(REGISTRY, entities={**REGISTRY.entities, "Party": as_before}))
    older.create()
    older.land(page(party(PARTY, legal_rep_name="陈一")))
    older.database.write(lambda c: c.execute(text("CREATE INDEX my_own ON current_party (sex)")))
    assert "current_party_by_legal_rep_name" in indexes(older, "current_party")
    older.close()
    with opened(url) as store:
        now = indexes(store, "current_party")
        assert ("current_party_by_legal_rep_name" in now, "my_own" in now) == (False, True)
        (kept,) = store.by_keys("Party", [PARTY])
        assert kept.mapped.values["legal_rep_name"] == "陈一"
