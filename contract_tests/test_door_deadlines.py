"""`X-Request-Timeout`: the client's time is everybody's time, and what is not there by then is an error where it would be."""

import socket
import time

import pytest

from contract_tests.federation import Federation
from contract_tests.hostile import CASE, gateway, nobody_is_called_and_life_goes_on, sources
from contract_tests.serving import PATIENCE, Served, served
from gateway.limits import BadRequest, parse_timeout

__all__ = ["gateway", "nobody_is_called_and_life_goes_on", "sources"]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(None, 15.0), ("2", 2.0), ("2.5", 2.5), ("2.5s", 2.5), (" 1500ms ", 1.5), ("0.01", 0.01), ("60", 60.0)],
)
def test_the_time_a_client_gives(said: str | None, seconds: float) -> None:
    assert parse_timeout(said, 15.0, 60.0) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "said", ["", "0", "-1", "nan", "inf", "1e3", "61", "9ms", "1 s", "2m", "１", "1,5", "9" * 400, "1;2"]
)
def test_a_time_that_is_none_is_400(gateway: Served, said: str) -> None:
    with pytest.raises(BadRequest):
        parse_timeout(said, 15.0, 60.0)
    if said and said.isascii():
        reply = gateway.ask("{ __typename }", x_request_timeout=said)
        assert (reply.status, reply.codes) == (400, ["INVALID_REQUEST_TIMEOUT"])


def test_the_answer_comes_by_the_deadline_with_what_there_is_and_typed_errors(sources: Federation) -> None:
    """One source takes the call and says nothing; the others' part of the answer is there all the same."""
    with socket.create_server(("127.0.0.1", 0)) as source:
        address = f"http://127.0.0.1:{source.getsockname()[1]}"
        with served(sources, BINHAI_MARKET_URL=address) as gateway:
            query = f'{{ officer(certNo: "35010020240001") {{ officerName }} {CASE} {{ caseName }} }}'
            gateway.ask(query, x_request_timeout="50ms")  # from now on the operation is known
            started = time.monotonic()
            reply = gateway.ask(query, x_request_timeout="1500ms")
            took = time.monotonic() - started
    assert reply.status == 200
    assert reply.json["data"] == {"officer": {"officerName": "林甲"}, "enforcementCase": None}
    assert [(error["path"], error["extensions"]["code"]) for error in reply.json["errors"]] == [
        (["enforcementCase"], "SOURCE_TIMEOUT")
    ]
    assert 1.0 < took < PATIENCE / 4


def test_without_a_header_the_setting_holds(sources: Federation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as source:
        address = f"http://127.0.0.1:{source.getsockname()[1]}"
        with served(sources, BINHAI_MARKET_URL=address, GATEWAY_REQUEST_TIMEOUT="0.5") as gateway:
            reply = gateway.ask(f"{{ {CASE} {{ caseName }} }}")
    assert (reply.status, reply.codes, reply.json["data"]) == (200, ["SOURCE_TIMEOUT"], {"enforcementCase": None})
