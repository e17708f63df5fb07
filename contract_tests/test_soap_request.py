"""One envelope serves all plain keys of a look-up, where the key is all that requests differ in."""

from itertools import count

import pytest

from adapters.errors import SourceRejected
from adapters.soap_request import SAMPLES, Request, envelope_of


def plain(key: str) -> Request:
    return {"SOAPAction": '"q"'}, f"<e><key>{key.replace('&', '&amp;')}</key></e>".encode()


def test_the_envelope_of_a_plain_key_is_the_one_that_would_be_made() -> None:
    envelope = envelope_of(plain)
    assert envelope is not None
    assert envelope.of("91350100MA0000015D") == plain("91350100MA0000015D")


@pytest.mark.parametrize("key", ["", "a&b", "a b", "甲", "<x>", "a\u0301", "x" * 65])
def test_any_other_key_is_made_anew(key: str) -> None:
    envelope = envelope_of(plain)
    assert envelope is not None
    assert envelope.of(key) is None


def test_requests_that_differ_in_more_than_the_key_have_no_envelope() -> None:
    numbers = count()

    def refusing(key: str) -> Request:
        raise SourceRejected(key)

    for make in (
        lambda key: ({}, f"<id>{next(numbers)}</id><key>{key}</key>".encode()),
        lambda key: ({}, f"<key>{key}</key><again>{key}</again>".encode()),
        lambda key: ({}, f"<key>{key.lower()}</key>".encode()),
        lambda key: ({"Key": key}, f"<key>{key}</key>".encode()),
        lambda _key: ({}, b"<all/>"),
        refusing,
    ):
        assert envelope_of(make) is None
    assert len(set(SAMPLES)) == 2
