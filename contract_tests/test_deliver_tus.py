"""Uploads go on where they were broken off, by tus 1.0.0, and end in the same receipt as a body in one request."""

import base64
import json
import os
import time

import pytest

from contract_tests.delivering import LEDGER_PATH, agency, balance, left_behind, packed, records
from contract_tests.files import SAMPLES
from contract_tests.stores import database, postgres, url
from gateway.receiving.spool import EXPIRY

__all__ = ["database", "postgres", "url"]
TUS = {"tus_resumable": "1.0.0"}
CHUNKS = "application/offset+octet-stream"


@pytest.fixture
def served(tmp_path):
    """An agency at a gateway."""
    with agency(tmp_path, f"sqlite:///{tmp_path / 'gateway.db'}") as made:
        yield made


@pytest.fixture
def anywhere(url, tmp_path):
    """The same on SQLite and PostgreSQL."""
    with agency(tmp_path, url) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The same for tests that change nothing."""
    folder = tmp_path_factory.mktemp("agency")
    with agency(folder, f"sqlite:///{folder / 'gateway.db'}") as made:
        yield made


def metadata(**pairs):
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in pairs.items())


def created(made, content, key="k1", **pairs):
    """The address of a new upload for this content."""
    told = metadata(**({"filetype": "application/x-ndjson"} | pairs))
    reply = made.ask(
        "POST",
        LEDGER_PATH,
        **TUS,
        upload_length=str(len(content)),
        upload_metadata=told,
        idempotency_key=key,
        content_type="",
    )
    assert (reply.status_code, reply.headers["upload-offset"]) == (201, "0")
    return reply.headers["location"]


def patch(made, place, content, offset, **headers):
    return made.ask("PATCH", place, content, **({"upload_offset": str(offset), "content_type": CHUNKS} | TUS | headers))


def offset(made, place):
    reply = made.ask("HEAD", place, **TUS, content_type="")
    assert reply.headers["cache-control"] == "no-store"
    return int(reply.headers["upload-offset"])


def receipt(made, place):
    """The receipt, once it is final."""
    until = time.monotonic() + 30
    while (reply := made.ask("GET", place)).status_code == 202:
        assert time.monotonic() < until
        time.sleep(0.05)
    return reply.json()


def test_what_can_be_done_is_told(shared):
    reply = shared.ask("OPTIONS", LEDGER_PATH, authorization="")
    assert (reply.status_code, reply.headers["tus-version"], reply.headers["tus-resumable"]) == (204, "1.0.0", "1.0.0")
    assert set(reply.headers["tus-extension"].split(",")) >= {"creation", "termination", "expiration"}
    assert int(reply.headers["tus-max-size"]) > 0


def test_an_upload_goes_on_where_it_was_broken_off(anywhere):
    content = records(*range(60)).encode()
    place = created(anywhere, content)
    assert patch(anywhere, place, content[:1000], 0).headers["upload-offset"] == "1000"
    with anywhere.served.connect() as broken:
        fields = [f"PATCH {place} HTTP/1.1", "host: 127.0.0.1", f"authorization: Bearer {anywhere.key}"]
        fields += ["tus-resumable: 1.0.0", "upload-offset: 1000", f"content-type: {CHUNKS}", "content-length: 3000"]
        broken.sendall("\r\n".join([*fields, "", ""]).encode() + content[1000:1500])
        until = time.monotonic() + 20
        while offset(anywhere, place) < 1500:
            assert time.monotonic() < until
    late = patch(anywhere, place, content[1000:], 1000)
    while late.status_code == 423:  # the one that was broken off is not over yet
        late = patch(anywhere, place, content[1000:], 1000)
    assert (late.status_code, late.json()["code"], late.headers["upload-offset"]) == (409, "OFFSET_CONFLICT", "1500")
    assert anywhere.ask("GET", place).json()["code"] == "NOT_FOUND"
    assert patch(anywhere, place, content[1500:], 1500).status_code == 204
    told = receipt(anywhere, place)
    assert (balance(told), told["idempotencyKey"]) == ((60, 60, 0, 0), "k1")
    assert offset(anywhere, place) == len(content)
    assert patch(anywhere, place, b"", len(content)).status_code == 204
    assert anywhere.post(records(*range(60)), "k1").json()["receipt"] == told["receipt"]


def test_an_upload_outlives_the_process(tmp_path):
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    content = packed(records(1, 2, 3))
    with agency(tmp_path, url) as made:
        place, key = created(made, content, encoding="gzip"), made.key
        patch(made, place, content[:10], 0)
    with agency(tmp_path, url) as made:
        assert key != made.key
        assert offset(made, place) == 10
        patch(made, place, content[10:], 10)
        assert balance(receipt(made, place)) == (3, 3, 0, 0)


def test_what_was_complete_when_the_process_ended_is_taken_in_by_the_next(tmp_path):
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    with agency(tmp_path, url) as made:
        spool_place = created(made, b"x" * 10)
        identifier = spool_place.rpartition("/")[2]
    folder = tmp_path / "deliveries" / identifier
    (folder / "content").write_text(records(1, 2), "utf-8")
    (folder / "sent").unlink()
    with agency(tmp_path, url) as made:
        until = time.monotonic() + 30
        while (reply := made.ask("GET", LEDGER_PATH, idempotency_key="k1")).status_code != 200:
            assert time.monotonic() < until
        assert balance(reply.json()) == (2, 2, 0, 0)


def test_a_file_may_come_with_its_creation_and_be_known_by_its_name(served):
    content = records(7).encode()
    told = metadata(filename="台账.ndjson", **{"idempotency-key": "named"})
    headers = {"upload_length": str(len(content)), "upload_metadata": told, "content_type": CHUNKS} | TUS
    reply = served.ask("POST", LEDGER_PATH, content, **headers)
    assert (reply.status_code, reply.headers["upload-offset"]) == (201, str(len(content)))
    told = receipt(served, reply.headers["location"])
    assert (told["name"], told["idempotencyKey"], balance(told)) == ("台账.ndjson", "named", (1, 1, 0, 0))


def test_an_upload_can_be_given_up(served):
    place = created(served, b"x" * 10)
    assert served.ask("DELETE", place, **TUS).status_code == 204
    assert served.ask("HEAD", place, **TUS).status_code == 404
    assert left_behind(served.folder) == []


def test_an_upload_that_nobody_goes_on_with_is_forgotten(served):
    place = created(served, b"x" * 10)
    folder = served.folder / "deliveries" / place.rpartition("/")[2]
    old = time.time() - EXPIRY - 60
    about = folder / "about.json"

    about.write_text(json.dumps(json.loads(about.read_text("utf-8")) | {"created_at": old}), "utf-8")
    for file in (folder / "sent", about, folder):
        os.utime(file, (old, old))
    assert served.ask("HEAD", place, **TUS).status_code == 404
    created(served, b"x" * 10)  # looks through what there is
    assert not folder.exists()


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"tus_resumable": "0.2.2"}, 412, "TUS_VERSION"),
        ({"upload_length": "-1"}, 400, "BAD_REQUEST"),
        ({"upload_length": "0"}, 400, "BAD_REQUEST"),
        ({"upload_length": "99999999999999"}, 413, "TOO_LARGE"),
        ({"upload_metadata": "filetype !"}, 400, "BAD_REQUEST"),
        ({"upload_metadata": metadata(filetype="text/html")}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"upload_metadata": metadata(filename="a.exe")}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"upload_metadata": metadata(filename="a.csv", encoding="br")}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"upload_metadata": metadata(filename="a.csv", idempotencykey="a b")}, 400, "BAD_REQUEST"),
        ({"idempotency_key": ""}, 400, "KEY_MISSING"),
        ({"authorization": ""}, 401, "UNAUTHENTICATED"),
    ],
)
def test_a_bad_creation_is_refused_and_leaves_nothing(shared, headers, status, code):
    good = {"upload_length": "10", "upload_metadata": metadata(filename="a.csv"), "idempotency_key": "k"} | TUS
    reply = shared.ask("POST", LEDGER_PATH, **(good | headers))
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert left_behind(shared.folder) == []


def test_a_bad_part_is_refused_and_changes_nothing(served):
    place = created(served, b"x" * 10)
    for content, where, headers, status in (
        (b"x", 1, {}, 409),
        (b"x", 0, {"content_type": "application/json"}, 415),
        (b"x", 0, {"tus_resumable": ""}, 412),
        (b"x" * 11, 0, {}, 413),
    ):
        assert patch(served, place, content, where, **headers).status_code == status
    assert offset(served, place) == 0
    assert served.ask("PUT", place).status_code == 405
    assert patch(served, "/deliver/uploads/../../etc", b"x", 0).status_code == 404
    assert patch(served, f"/deliver/uploads/{'0' * 32}", b"x", 0).status_code == 404


def test_packed_content_that_is_broken_or_a_bomb_is_refused_at_its_end(served):
    for content in (packed(records(1))[:-4], packed(b" " * (8 * 2**20))):
        place = created(served, content, encoding="gzip")
        assert patch(served, place, content, 0).status_code in (400, 413)
        assert served.ask("GET", place).status_code == 422


def test_a_workbook_is_uploaded_by_its_name(served):
    content = (SAMPLES / "qzcs_2025.xlsx").read_bytes()
    place = created(served, content, filetype="", filename="qzcs_2025.xlsx")
    patch(served, place, content, 0)
    told = served.ask("GET", place)
    assert (told.status_code, "有 2 个工作表" in told.json()["detail"]) == (422, True)
