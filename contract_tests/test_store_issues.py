"""What is wrong with the data is kept where its owner finds it: issues once each, refused records whole."""

from typing import Any

from sqlalchemy import select

from adapters.mapping.record import Issue, Mapped
from contract_tests.stores import AGENCY, case, database, hour, names, page, party, postgres, store, url, with_parties
from gateway.store.store import Landed, Store

__all__ = ["database", "postgres", "store", "url"]


def bad_date(number: str = "1", raw: str | None = "2024-13-01", **words: Any) -> Issue:
    words = {"reason": "不合格式", **words}
    key = f"{AGENCY}/{number}"
    return Issue("market", "EnforcementCase", key, "filed_date", "ZF10012", "02", raw=raw, **words)


def having(mapped: Mapped, *issues: Issue) -> Mapped:
    mapped.issues.extend(issues)
    return mapped


def refused(mapped: Mapped, *issues: Issue) -> Mapped:
    mapped.quarantined = True
    return having(mapped, *issues)


def quarantined(store: Store) -> list[tuple[Any, ...]]:
    table = store.tables.quarantine
    query = select(table.c.entity, table.c.step, table.c.reason, table.c.payload, table.c.mapping_version)
    order = (table.c.record_digest, table.c.mapping_version)
    return [tuple(row) for row in store.database.read(lambda c: c.execute(query.order_by(*order)).all())]


# Issues


def test_an_issue_is_kept_once_with_how_often_and_when_it_was_seen(store):
    store.land(page(having(case("1", 1), bad_date()), received=100))
    store.land(page(having(case("1", 2), bad_date()), received=101))
    (seen,) = store.issues()
    assert (seen.issue, seen.first_seen, seen.last_seen, seen.times) == (bad_date(), hour(100), hour(101), 2)


def test_the_same_page_again_is_not_seen_again(store):
    told = page(having(case("1"), bad_date()))
    store.land(told)
    store.land(told)
    assert [seen.times for seen in store.issues()] == [1]


def test_an_issue_is_as_severe_and_has_the_reason_as_it_was_last_told(store):
    store.land(page(having(case("1", 1), bad_date()), received=100))
    later = bad_date(reason="已停用", severity="warning")
    store.land(page(having(case("1", 2), later), received=101))
    assert [(seen.issue, seen.times) for seen in store.issues()] == [(later, 2)]
    assert str(store.issues()[0]).startswith("警告 market EnforcementCase")


def test_an_issue_is_resolved_by_a_later_telling_without_it_and_opened_again_by_one_with_it(store):
    store.land(page(having(case("1", 1), bad_date()), having(case("2", 1), bad_date("2")), received=100))
    store.land(page(case("1", 2, case_name="改"), received=101))
    assert [seen.issue for seen in store.issues()] == [bad_date("2")]
    store.land(page(having(case("1", 3), bad_date()), received=102))
    assert [(seen.issue, seen.first_seen, seen.times) for seen in store.issues()] == [
        (bad_date(), hour(100), 2),
        (bad_date("2"), hour(100), 1),
    ]


def test_an_older_telling_neither_resolves_nor_opens(store):
    store.land(page(having(case("1", 2), bad_date()), received=100))
    store.land(page(having(case("1", 1), bad_date(raw="旧")), received=101))
    assert [seen.issue for seen in store.issues()] == [bad_date()]


def test_a_deleted_record_has_no_issues_any_more(store):
    store.land(page(having(case("1", 1), bad_date()), received=100))
    store.land(page(having(case("1", 2), bad_date()), gone={0}, received=101))
    assert store.issues() == []


def test_an_issue_of_what_stood_inside_belongs_to_the_record(store):
    inside = Issue("market", "Party", "~market:1", "uscc", "ZF06004", "05", "校验位不符", "9135")
    store.land(page(having(with_parties(case("1", 1)), inside), received=100))
    store.land(page(with_parties(case("2", 1), party("~market:1")), received=101))
    assert [seen.issue for seen in store.issues()] == [inside]
    store.land(page(with_parties(case("1", 2)), received=102))
    assert store.issues() == []


def test_what_no_database_keeps_is_shown_escaped(store):
    store.land(page(having(case("1"), bad_date(raw="a\0\ud800\ufffd"))))
    assert [seen.issue.raw for seen in store.issues()] == ["a\\u0000\\ud800\\ufffd"]


def test_issues_are_listed_latest_first_by_source_and_so_many(store):
    store.land(page(having(case("1"), bad_date("1", raw=None)), received=100))
    store.land(page(having(case("2"), bad_date("2")), received=101))
    assert [seen.issue.key for seen in store.issues()] == [f"{AGENCY}/2", f"{AGENCY}/1"]
    assert [seen.issue.key for seen in store.issues("market", 1)] == [f"{AGENCY}/2"]
    assert store.issues("police") == []
    assert str(store.issues()[1]) == (
        f"错误 market EnforcementCase {AGENCY}/1 的 filed_date：不合格式"
        "（2024-06-05T16:00:00+08:00 至 2024-06-05T16:00:00+08:00，1 次）"
    )


# Quarantine


def test_a_refused_record_is_kept_whole_and_never_applied(store):
    store.land(page(case("1", 1)))
    record = {"AJBH": "1", "MJ": "9", "x": ["a\0", None, {"y": "𠮷\ud800"}]}
    told = page(refused(case("1", 2, case_name="密"), bad_date()), records=[record], received=101)
    assert store.land(told) == Landed(quarantined=1)
    assert names(store, "1") == {"1": "甲"}
    assert quarantined(store) == [("EnforcementCase", "map", "filed_date：不合格式", record, "m1")]
    assert [seen.issue for seen in store.issues()] == [bad_date()]


def test_a_record_that_names_nobody_is_refused(store):
    nobody = case("1")
    nobody.key = "~market:1"
    assert store.land(page(nobody, case("2"), records=[{"a": "b"}, {}])) == Landed(applied=1, quarantined=1)
    assert [row[1:4] for row in quarantined(store)] == [("identify", "记录没有能够识别的编号", {"a": "b"})]


def test_a_refused_record_is_kept_once_for_each_mapping_that_refused_it(store):
    told = page(refused(case("1")), refused(case("1")), records=[{"a": "b"}] * 2)
    again = page(refused(case("1")), records=[{"a": "b"}], mapping_version="m2", received=101)
    assert [store.land(told), store.land(told), store.land(again)] == [
        Landed(quarantined=2),
        Landed(quarantined=2),
        Landed(quarantined=1),
    ]
    assert [row[4] for row in quarantined(store)] == ["m1", "m2"]


def test_without_its_record_the_mapped_form_is_kept(store):
    store.land(page(refused(case("1"))))
    ((_, _, _, payload, _),) = quarantined(store)
    assert payload["values"]["source_case_no"] == "1"


def test_a_tombstone_only_has_to_say_of_whom(store):
    store.land(page(case("1", 1)))
    assert store.land(page(refused(case("1", 2)), gone={0}, received=101)) == Landed(applied=1)
    assert names(store, "1") == {}
