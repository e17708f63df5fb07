"""What agencies hand in is taken in once, page by page, and its receipt says of every record what became of it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from adapters.open import open_source
from contract_tests.deliveries import content_of, counts, csv, delivered, good_rows, ledger_sums, receiver, stored
from contract_tests.files import LEDGER, SAMPLES, file_mapping
from contract_tests.stores import database, opened, postgres, store, url
from gateway.receiving.content import records_content
from gateway.receiving.receive import BadKey, KeyReused, Receiver
from gateway.store.receipts import Settled
from gateway.sync.remap import remap

__all__ = ["database", "postgres", "store", "url"]


def test_a_file_is_taken_in_and_every_record_told_of_in_the_agencys_words(store):
    door = receiver(store)
    receipt = door.receive(LEDGER, delivered(), content_of(LEDGER, SAMPLES / "qzcs_2024.csv"), "k1")
    assert (receipt.status, receipt.is_new, counts(receipt)) == ("done", True, (5, 4, 0, 0, 1, 0))
    assert door.records(receipt.id, 0, 10) == [
        Settled(1, 3, "applied"),
        Settled(2, 4, "applied"),
        Settled(
            3,
            5,
            "applied",
            None,
            (("期限届满日", "error", "没有这一天"), ("解除原因", "error", "代码未在映射中登记")),
        ),
        Settled(4, 6, "quarantined", "“措施种类”：代码未在映射中登记", (("措施种类", "error", "代码未在映射中登记"),)),
        Settled(5, 7, "applied"),
    ]
    assert [one.number for one in door.records(receipt.id, 0, 10, only_noted=True)] == [3, 4]
    assert ledger_sums(store) == {"fetched": 5, "applied": 4, "unchanged": 0, "duplicate": 0, "quarantined": 1}
    run = store.tables.run
    told = select(run.c.kind, run.c.status, run.c.fetched)
    assert store.database.read(lambda c: [tuple(row) for row in c.execute(told)]) == [("deliver", "succeeded", 5)]


def test_the_same_key_and_content_is_answered_with_the_stored_receipt(store, tmp_path):
    mapping, door = file_mapping(tmp_path), receiver(store)
    content = content_of(mapping, csv(tmp_path, *good_rows(3)))
    first = door.receive(mapping, delivered(mapping), content, "k1")
    again = door.receive(mapping, delivered(mapping), content, "k1")
    assert (again.id, again.is_new, counts(again)) == (first.id, False, (3, 3, 0, 0, 0, 0))
    assert ledger_sums(store)["fetched"] == 3
    other = door.receive(mapping, delivered(mapping), content, "k2")
    assert (other.id != first.id, counts(other)) == (True, (3, 0, 3, 0, 0, 0))


def test_the_same_key_with_other_content_is_refused_and_nothing_is_taken(store, tmp_path):
    mapping, door = file_mapping(tmp_path), receiver(store)
    door.receive(mapping, delivered(mapping), content_of(mapping, csv(tmp_path, *good_rows(1))), "k1")
    with pytest.raises(KeyReused):
        door.receive(mapping, delivered(mapping), content_of(mapping, csv(tmp_path, *good_rows(2), name="b.csv")), "k1")
    assert stored(store, mapping) == 1


@pytest.mark.parametrize("key", ["", "a b", "键", "x" * 201, "a\n"])
def test_a_key_is_a_short_visible_word(store, tmp_path, key):
    mapping = file_mapping(tmp_path)
    with pytest.raises(BadKey):
        receiver(store).receive(mapping, delivered(mapping), content_of(mapping, csv(tmp_path)), key)


def test_a_file_that_cannot_be_read_has_a_receipt_that_says_why(store, tmp_path):
    mapping, door = file_mapping(tmp_path), receiver(store)
    file = tmp_path / "a.csv"
    file.write_text("别的列\n1\n", "utf-8")
    receipt = door.receive(mapping, delivered(mapping), content_of(mapping, file), "k1")
    assert (receipt.status, counts(receipt)) == ("refused", (0, 0, 0, 0, 0, 0))
    assert "缺少列 “措施编号”" in str(receipt.refusal)
    assert door.receive(mapping, delivered(mapping), content_of(mapping, file), "k1").id == receipt.id


def test_a_file_with_a_head_and_nothing_else_is_done_at_once(store, tmp_path):
    mapping = file_mapping(tmp_path)
    receipt = receiver(store).receive(mapping, delivered(mapping), content_of(mapping, csv(tmp_path)), "k1")
    assert (receipt.status, counts(receipt)) == ("done", (0, 0, 0, 0, 0, 0))


def test_rows_that_could_not_be_read_are_quarantined_with_what_stood_there(store, tmp_path):
    mapping, door = file_mapping(tmp_path), receiver(store)
    file = csv(tmp_path, "Q1,案1", ",案2,查封,1,2024/01/02", *good_rows(1, first=3))
    receipt = door.receive(mapping, delivered(mapping), content_of(mapping, file), "k1")
    assert counts(receipt) == (3, 1, 0, 0, 2, 0)
    assert [(one.place, one.reason) for one in door.records(receipt.id, 0, 10, only_noted=True)] == [
        (2, "第 2 行只有 2 格，表头有 5 列（缺 “措施种类” 及以后）"),
        (3, "没有能够识别记录的编号（“措施编号”）"),
    ]
    table = store.tables.quarantine
    rows = store.database.read(lambda c: c.execute(select(table.c.step, table.c.payload).order_by(table.c.step)).all())
    assert [(row.step, row.payload["案号"]) for row in rows] == [("identify", "案2"), ("read", "案1")]


class Stopping(Exception):
    """The process ends here."""


def stopping_after(store, pages):
    """Lands so many pages and then fails, as if the process had ended."""
    land, left = store.land, [pages]

    def landing(*given):
        if not left[0]:
            raise Stopping
        left[0] -= 1
        return land(*given)

    store.land = landing
    return lambda: setattr(store, "land", land)


def test_what_was_interrupted_goes_on_where_it_was_when_it_comes_again(store, tmp_path):
    mapping, door = file_mapping(tmp_path), receiver(store)
    content = content_of(mapping, csv(tmp_path, *good_rows(1200)))
    mend = stopping_after(store, 1)
    with pytest.raises(Stopping):
        door.receive(mapping, delivered(mapping), content, "k1")
    mend()
    found = door.find(mapping.name, "delivered", "k1")
    assert found is not None
    assert (found.status, counts(found), stored(store, mapping)) == ("pending", (1200, 500, 0, 0, 0, 700), 500)
    receipt = door.receive(mapping, delivered(mapping), content, "k1")
    assert (receipt.id, counts(receipt), stored(store, mapping)) == (found.id, (1200, 1200, 0, 0, 0, 0), 1200)
    assert ledger_sums(store)["fetched"] == 1200
    assert [one.number for one in door.records(receipt.id, 0, 2000)] == list(range(1, 1201))


def test_two_who_deliver_the_same_at_once_take_it_in_once(url, tmp_path):
    mapping = file_mapping(tmp_path)
    content, barrier = content_of(mapping, csv(tmp_path, *good_rows(700))), Barrier(4)

    def deliver(_number: int):
        with opened(url) as mine:
            barrier.wait(20)
            return receiver(mine).receive(mapping, delivered(mapping), content, "k1", patience=20)

    with opened(url) as store, ThreadPoolExecutor(4) as pool:
        told = list(pool.map(deliver, range(4)))
        assert {receipt.id for receipt in told} == {told[0].id}
        assert counts(receiver(store).read(told[0].id)) == (700, 700, 0, 0, 0, 0)
        assert ledger_sums(store)["fetched"] == 700


def test_while_another_writes_the_receipt_is_pending_and_nothing_is_lost(store, tmp_path):
    mapping, door = file_mapping(tmp_path), receiver(store)
    content = content_of(mapping, csv(tmp_path, *good_rows(2)))
    begun = store.begin_run(mapping.name, "delivered", "deliver", "another")
    receipt = door.receive(mapping, delivered(mapping), content, "k1", patience=0)
    assert (receipt.status, counts(receipt)) == ("pending", (2, 0, 0, 0, 0, 2))
    store.finish_run(begun.run_id, None)
    assert counts(door.receive(mapping, delivered(mapping), content, "k1")) == (2, 2, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "lie", ["applied = applied + 1", "pending = pending + 1", "rejected = rejected - 1", "status = 'done', pending = 1"]
)
def test_the_database_refuses_a_receipt_that_does_not_balance(store, tmp_path, lie):
    mapping, door = file_mapping(tmp_path), receiver(store)
    door.receive(mapping, delivered(mapping), content_of(mapping, csv(tmp_path, *good_rows(2))), "k1")
    with pytest.raises(IntegrityError):
        store.database.write(lambda c: c.execute(text(f"UPDATE delivery SET {lie}")))


def test_records_of_a_request_are_taken_as_their_text_and_lost_digits_are_told(store, tmp_path):
    mapping, door = file_mapping(tmp_path), receiver(store)
    one = {"措施编号": "Q1", "案号": 12, "措施种类": "查封", "日期": "2024/01/02"}
    records = [one, one | {"案号": 0.1234567890123456}, "Q3", one | {"措施编号": "Q4", "案号": True}]
    receipt = door.receive(mapping, delivered(mapping), records_content(records), "k1")
    assert counts(receipt) == (4, 2, 0, 0, 2, 0)
    assert [one.reason for one in door.records(receipt.id, 0, 10) if one.reason] == [
        "第 2 条：“案号” 是位数过多的 JSON 数字，传输中可能失真，请写成文本",
        "第 3 条不是记录（JSON 对象）",
    ]
    found = store.by_keys("CoerciveMeasure", ["Q1", "Q4"])
    assert {s.mapped.key: s.mapped.refs["case"] for s in found} == {
        "Q1": (f"{mapping.agency}/12",),
        "Q4": (f"{mapping.agency}/true",),
    }


def test_later_deliveries_hold_and_a_row_that_says_so_deletes(store, tmp_path):
    tombstone = "{deliver: {entity: CoerciveMeasure, deleted: {path: 措施种类, is: 作废}}}"
    mapping, door = file_mapping(tmp_path, operation=tombstone), receiver(store)
    for number, what in enumerate(("查封", "扣押", "作废")):
        file = csv(tmp_path, *good_rows(2, what if number < 2 else "扣押")[:1], f"Q1,案1,{what},1,2024/01/02")
        receipt = door.receive(mapping, delivered(mapping), content_of(mapping, file), f"k{number}")
        assert receipt.status == "done"
    assert [s.mapped.key for s in store.by_keys("CoerciveMeasure", ["Q0", "Q1"])] == ["Q0"]


def test_the_latest_receipts_come_first(store, tmp_path):
    mapping, door = file_mapping(tmp_path), Receiver(store, receiver(store).compiler)
    for number in range(3):
        door.receive(mapping, delivered(mapping), content_of(mapping, csv(tmp_path, *good_rows(number))), f"k{number}")
    assert [receipt.idempotency_key for receipt in door.latest(mapping.name, 2)] == ["k2", "k1"]
    assert door.latest("nobody", 2) == []


def test_what_was_delivered_can_be_mapped_anew_from_what_was_kept(store):
    door = receiver(store)
    for name in ("qzcs_2024.csv", "qzcs_2025.xlsx"):
        door.receive(LEDGER, delivered(), content_of(LEDGER, SAMPLES / name), name)
    before = quarantined(store)
    told = remap(open_source(LEDGER, {}), LEDGER, store, str)
    assert (told.payloads, told.records, told.quarantined, told.different) == (2, 8, 1, 0)
    assert quarantined(store) == before
    assert stored(store, LEDGER) == 7


def quarantined(store):
    table = store.tables.quarantine
    query = select(table.c.record_digest, table.c.step, table.c.reason).order_by(table.c.record_digest)
    return store.database.read(lambda c: [tuple(row) for row in c.execute(query)])
