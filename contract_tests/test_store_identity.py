"""What the gateway allots it allots once; and no number of a person can be had back from a key."""

import gc
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from adapters.mapping.record import Mapped
from contract_tests.stores import AGENCY, REGISTRY, case, database, opened, page, postgres, store, url
from gateway.store import identity
from gateway.store.identity import CodesExhausted, case_code, check_digit, make_hash_id
from gateway.store.store import Landed
from schema.formats import check_value
from schema.identity import HASH_MARK, element_in_keys, values_in_key
from schema.registry import OWNER

__all__ = ["database", "postgres", "store", "url"]

OTHER = "11350200MB0A00017X"
ELEMENT = REGISTRY.entities["EnforcementCase"].elements["case_code"]


def clock(moment: str = "2026-03-01T00:00:00+08:00"):
    return lambda: datetime.fromisoformat(moment)


def keys(*numbers: object, agency: str = AGENCY) -> list[str]:
    return [f"{agency}/{number}" for number in numbers]


# Case codes


def test_a_case_code_has_the_parts_the_specification_names():
    code = case_code("11350100MB0A00018J", 7, "102", 2026, 42)
    assert [code[:6], code[6:10], code[10:13], code[13:17], code[17:23]] == ["350100", "0007", "102", "2026", "000042"]
    check_value(ELEMENT.format, code)


def test_the_check_digit_is_that_of_iso_7064_mod_11_10():
    assert check_digit("0794") == "5"


@given(st.text("0123456789", min_size=23, max_size=23), st.integers(0, 23), st.sampled_from("0123456789"))
def test_one_wrong_digit_is_always_seen(body, place, digit):
    code = body + check_digit(body)
    wrong = code[:place] + digit + code[place + 1 :]
    assert (check_digit(wrong[:23]) == wrong[23]) is (wrong == code)


def test_codes_count_up_by_agency_and_year_and_are_found_again(url):
    with opened(url, clock=clock()) as store:
        codes = store.identify("EnforcementCase", [*keys(1, 2), *keys(1, agency=OTHER)])
        assert [code[:23] for code in codes.values()] == [
            "35010000010002026000001",
            "35010000010002026000002",
            "35020000020002026000001",
        ]
        assert store.find_identified("EnforcementCase", list(codes.values())) == {v: k for k, v in codes.items()}
        assert store.find_identified("EnforcementCase", ["nobody's"]) == {}
    with opened(url, clock=clock("2026-12-31T16:00:00+00:00")) as store:
        assert store.identify("EnforcementCase", keys(1)) == {keys(1)[0]: codes[keys(1)[0]]}
        assert store.identify("EnforcementCase", keys(3))[keys(3)[0]][13:23] == "2027000001"


def test_the_field_is_the_agencys_when_the_store_knows_the_agency(store):
    first = store.identify("EnforcementCase", keys(1))[keys(1)[0]]
    known = Mapped("Agency", AGENCY, AGENCY, {"agency_code": AGENCY, "enforcement_field": "MARKET_REGULATION"})
    store.land(page(known, source="platform"))
    second = store.identify("EnforcementCase", keys(2))[keys(2)[0]]
    assert (first[10:13], second[10:13]) == ("000", "102")
    assert store.identify("EnforcementCase", keys(1)) == {keys(1)[0]: first}


def test_a_case_gets_its_code_when_it_first_lands(url):
    with opened(url, clock=clock()) as store:
        store.land(page(case("1"), case("2")))
    with opened(url, clock=clock("2031-01-01T00:00:00+08:00")) as store:
        assert {code[13:17] for code in store.identify("EnforcementCase", keys(1, 2)).values()} == {"2026"}


def test_a_code_that_the_source_told_is_kept_and_given_to_nobody_else(store):
    told = case("1", case_code="3" * 24)
    by_code = f"case_code={'4' * 24}"
    store.land(
        page(told, case("2", case_code="3" * 24), Mapped("EnforcementCase", by_code, AGENCY, {"case_code": "4" * 24}))
    )
    found = store.identify("EnforcementCase", [told.key, by_code])
    assert found == {told.key: "3" * 24, by_code: "4" * 24}
    assert store.find_identified("EnforcementCase", ["3" * 24, "4" * 24]) == {"3" * 24: told.key, "4" * 24: by_code}


def test_a_code_told_in_the_same_page_is_passed_over(url):
    with opened(url, clock=clock()) as store:
        told = case_code(AGENCY, 1, "000", 2026, 2)
        store.land(page(case("1", case_code=told), case("2"), case("3")))
        given = store.identify("EnforcementCase", keys(1, 2, 3))
        assert [code[17:23] for code in map(given.get, keys(1, 2, 3))] == ["000002", "000001", "000003"]
        assert given[keys(1)[0]] == told


def test_a_code_told_before_its_turn_comes_is_passed_over(url):
    with opened(url, clock=clock()) as store:
        store.land(page(case("9", case_code=case_code(AGENCY, 1, "000", 2026, 2))))
        store.land(page(case("1"), case("2"), case("3"), received=101))
        given = store.identify("EnforcementCase", keys(1, 2, 3))
        assert [code[17:23] for code in map(given.get, keys(1, 2, 3))] == ["000001", "000003", "000004"]


def test_what_is_anonymous_or_refused_gets_none(store):
    refused, anonymous = case("1"), case("2")
    refused.quarantined, anonymous.key = True, "~market:1"
    store.land(page(refused, anonymous))
    assert store.identify("EnforcementCase", ["~market:1", "a\0/1"]) == {}
    assert store.identify("EnforcementCase", keys(9))[keys(9)[0]][17:23] == "000001"


def test_an_agency_code_with_letters_where_the_division_stands_still_gives_digits():
    assert case_code("1135A100MB0A00018J", 1, "000", 2026, 1).startswith("000000")


def test_many_who_ask_at_once_get_one_code(url):
    start = Barrier(8)
    with ExitStack() as stack:
        stores = [stack.enter_context(opened(url)) for _ in range(2)]

        def ask(number: int) -> dict[str, str]:
            start.wait()
            return stores[number % 2].identify("EnforcementCase", keys(*range(20)))

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert len(set(answers[0].values())) == 20


def test_when_there_is_no_code_left_pages_still_go_in_and_who_asks_is_told(url):
    with opened(url, clock=clock()) as store:
        ordinal = insert(store.tables.agency_ordinal).values(agency_code=AGENCY, ordinal=1)
        serial = insert(store.tables.agency_serial).values(agency_code=AGENCY, year=2026, last=999_998)
        store.database.write(lambda connection: [connection.execute(ordinal), connection.execute(serial)])
        assert store.identify("EnforcementCase", keys(1))[keys(1)[0]][17:23] == "999999"
        assert store.land(page(case("2"))) == Landed(applied=1)
        with pytest.raises(CodesExhausted, match="999999"):
            store.identify("EnforcementCase", keys(2))


def test_a_page_without_codes_leaves_nothing_in_memory_that_has_to_be_looked_for(url, monkeypatch):
    monkeypatch.setattr(identity, "MOST_CASES", 1)
    with opened(url, clock=clock()) as store:
        store.land(page(case("1")))
        gc.collect()
        gc.disable()
        try:
            assert store.land(page(case("2"))) == Landed(applied=1)
            assert not [one for one in gc.get_objects() if isinstance(one, CodesExhausted)]
        finally:
            gc.enable()


def test_only_what_the_specification_says_is_allotted(store):
    with pytest.raises(ValueError, match="Party"):
        store.identify("Party", ["p"])


@pytest.mark.parametrize("entity", REGISTRY.entities.values(), ids=list(REGISTRY.entities))
def test_what_many_keys_tell_is_what_each_of_them_tells(entity):
    fronts = ["", *(front for front, _ in entity.other_keys)]
    ends = ("", "a", "a/b", "a/b/c", "/", "a=b", f"{HASH_MARK}x", "~a", "~a/b", AGENCY, f"{AGENCY}/1")
    keys_of_all_kinds = [front + end for front in fronts for end in ends]
    for name in (*entity.elements, OWNER):
        alone = {key: values_in_key(entity, key).get(name) for key in keys_of_all_kinds}
        assert element_in_keys(entity, name, keys_of_all_kinds) == {k: v for k, v in alone.items() if v is not None}


# Hashes of identity documents

HASH = make_hash_id("secret")
NUMBER = "11010519491231002X"


def test_the_hash_is_hmac_sm3_in_base64url():
    # printf 11010519491231002X | openssl dgst -sm3 -hmac secret -binary | base64 | tr '+/' '-_' | tr -d =
    assert HASH(NUMBER) == "p1-Z6IteJ6pl-3nVc9NbgLO9pKQDwH9aROzIf_t-r3m6Ok"
    check_value(REGISTRY.entities["Party"].elements["party_key"].format, HASH(NUMBER))


def test_all_ways_to_write_one_number_meet():
    ways = [
        NUMBER,
        "11010519491231002x",
        " 110105 19491231 002X",
        "１１０１０５１９４９１２３１００２Ｘ",
        "110105491231002",
    ]
    assert {HASH(way) for way in ways} == {HASH(NUMBER)}


def test_other_numbers_and_other_secrets_do_not_meet():
    assert len({HASH(NUMBER), HASH("E12345678"), HASH("123456789012345"), make_hash_id("other")(NUMBER)}) == 4


def test_a_hash_without_a_secret_is_refused():
    with pytest.raises(ValueError, match="密钥"):
        make_hash_id("")
