"""FAULTS.md group P: what goes wrong between us and a signed data-sharing platform, one row each, for both families.

The platforms are servers of this process that check signatures. Golden signatures stand in test_signing.py, the fetching
and renewing of secrets in test_platform_signing.py; signatures of these families cover no parameters, so their order and
encoding cannot break one. Budgets per caller and purpose are above the adapter.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from email.utils import formatdate
from typing import Any

import pytest

from adapters.errors import SourceContractBroken, SourceDenied, SourceError, SourceThrottled, SourceUnavailable
from adapters.guomi import open_envelope, seal_envelope, sm4_seal
from adapters.outcome import until_tomorrow
from adapters.signing import seal_secret
from adapters.source import Page, Source
from contract_tests.platforms import (
    APPKEY,
    CROWD,
    DENIED,
    Clock,
    Platform,
    ask,
    business,
    crowd,
    opened,
    refreshes,
)
from schema.formats import CHINA_TIME

pytestmark = pytest.mark.anyio

MINUTE = 60.0
FAMILIES = ["national", "zhejiang"]


@pytest.fixture(params=FAMILIES)
def platform(request: pytest.FixtureRequest) -> Platform:
    return Platform(request.param, gives_pair=True)


async def failure(source: Source) -> SourceError:
    """How a call failed; none of the words of the platform and none of our secrets are public."""
    with pytest.raises(SourceError) as raised:
        await ask(source)
    assert raised.value.public_message == type(raised.value).__doc__
    assert "CANARY" not in f"{raised.value!s} {raised.value!r} {raised.value.public_message}"
    return raised.value


# P1: clocks


@pytest.mark.parametrize("minutes", [-15, -6, -4, 4, 6, 15])
async def test_p1_a_clock_that_is_off_costs_one_refused_request_and_no_error(platform: Platform, minutes: int) -> None:
    platform.ahead = minutes * MINUTE
    is_refused = abs(minutes) > 5  # both families take what is at most five minutes off
    async with opened(platform) as source:
        assert [type(await ask(source)) for _ in range(3)] == [Page] * 3
    assert (refreshes(platform), business(platform)) == (2 if is_refused else 1, 3)


@pytest.mark.parametrize(
    ("minutes", "asked"),
    [
        pytest.param(-15, 5, id="back: one call is refused"),
        pytest.param(15, 4, id="forward: the secret seems to have ended, and renewing it is what is refused"),
    ],
)
async def test_p1_our_own_clock_may_step_while_a_secret_counts(platform: Platform, minutes: int, asked: int) -> None:
    clock = Clock()
    async with opened(platform, clock) as source:
        await ask(source)
        clock.ahead = minutes * MINUTE
        assert [type(await ask(source)) for _ in range(3)] == [Page] * 3
    assert business(platform) == asked


async def test_p1_what_was_learned_is_unlearned_when_the_platform_corrects_its_clock(platform: Platform) -> None:
    async with opened(platform) as source:
        for ahead in (15 * MINUTE, 0.0, -15 * MINUTE):
            platform.ahead = ahead
            assert type(await ask(source)) is Page


@pytest.mark.parametrize("shown", ["", "soon", "Fri, 99 Foo 2024 00:00:00 GMT", "our own time"])
async def test_p1_without_a_date_that_tells_of_another_time_a_refusal_is_a_refusal(
    platform: Platform, shown: str
) -> None:
    platform.ahead = 15 * MINUTE
    platform.headers = {"Date": formatdate(usegmt=True) if shown == "our own time" else shown}
    async with opened(platform) as source:
        assert type(await failure(source)) is SourceDenied
    assert (refreshes(platform), business(platform)) == (1, 0), "nothing is asked again in the hope of luck"


# P2: quotas

THROTTLED = {"national": "E-429", "zhejiang": "29"}
EXHAUSTED = "Q-1"


def said(code: str) -> dict[str, str]:
    return {"code": code, "message": "今日调用已达上限", "msg": "今日调用已达上限"}


@pytest.mark.parametrize(
    ("answered", "headers", "wait"),
    [
        (429, {}, None),
        (429, {"Retry-After": "30"}, 30.0),
        (429, {"Retry-After": "86400"}, 86400.0),
        (429, {"Retry-After": "tomorrow"}, None),
        ("throttled", {}, None),
        ("throttled", {"Retry-After": "7"}, 7.0),
        ("exhausted", {"Retry-After": "7"}, 7.0),
    ],
)
async def test_p2_a_quota_is_throttling_with_the_wait_and_neither_asked_again_nor_taken_for_a_bad_secret(
    platform: Platform, answered: Any, headers: Mapping[str, str], wait: float | None
) -> None:
    codes = {"throttled": THROTTLED[platform.family], "exhausted": EXHAUSTED}
    platform.business = said(codes[answered]) if answered in codes else answered
    platform.headers = dict(headers)
    async with opened(platform, exhausted=[EXHAUSTED]) as source:
        error = await failure(source)
        assert (type(error), error.retry_after) == (SourceThrottled, wait)
        assert (refreshes(platform), business(platform)) == (1, 1)
        platform.business = None
        assert type(await ask(source)) is Page
        assert refreshes(platform) == 1, "the secret still counts"


async def test_p2_a_quota_of_the_day_is_there_again_at_midnight_in_china(platform: Platform) -> None:
    platform.business = said(EXHAUSTED)
    async with opened(platform, exhausted=[EXHAUSTED]) as source:
        before = until_tomorrow(datetime.now(CHINA_TIME))
        error = await failure(source)
    assert type(error) is SourceThrottled
    assert error.retry_after is not None
    assert error.retry_after <= before or before < MINUTE, "or midnight was just now"


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        ("2024-02-28T23:59:59+08:00", 1.0),
        ("2024-02-29T00:00:00+08:00", 86400.0),
        ("2023-12-31T16:30:00+00:00", 84600.0),
        ("1991-04-14T12:00:00+08:00", 43200.0),  # China had summer time then; its platforms have not
    ],
)
def test_p2_the_day_rolls_over_in_china(now: str, seconds: float) -> None:
    assert until_tomorrow(datetime.fromisoformat(now)) == seconds


async def test_p2_a_refresh_that_is_throttled_tells_all_who_waited_how_long(platform: Platform) -> None:
    platform.refusal, platform.headers, platform.is_gated = 429, {"Retry-After": "30"}, True
    async with opened(platform) as source:
        calls = asyncio.create_task(crowd(source))
        while not platform.seen:  # noqa: ASYNC110  the server's own event would say no more
            await asyncio.sleep(0)
        platform.gate.set()
        failures = await calls
    assert {(type(error), error.retry_after) for error in failures} == {(SourceThrottled, 30.0)}
    assert (refreshes(platform), business(platform)) == (1, 0)


# P3: secrets


async def test_p3_a_secret_that_ends_in_flight_is_renewed_once_for_fifty_and_each_asks_once_more(
    platform: Platform,
) -> None:
    async with opened(platform) as source:
        await ask(source)
        platform.secrets = {name: "ended" for name in platform.secrets if name != "refresh"} | {
            name: secret for name, secret in platform.secrets.items() if name == "refresh"
        }
        pages = await crowd(source)
    assert {type(page) for page in pages} == {Page}
    assert refreshes(platform) == 2
    assert CROWD + 1 <= business(platform) <= 2 * CROWD + 1


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (500, SourceUnavailable), (503, SourceUnavailable), (401, SourceDenied), (403, SourceDenied),
        ("denied", SourceDenied), (429, SourceThrottled), ([], SourceContractBroken), ("", SourceContractBroken),
    ],
)  # fmt: skip
async def test_p3_a_refresh_that_fails_ends_the_call_and_the_next_call_may_try(
    platform: Platform, refusal: Any, error: type[SourceError]
) -> None:
    platform.refusal = DENIED[platform.family] if refusal == "denied" else refusal
    async with opened(platform) as source:
        assert type(await failure(source)) is error
        assert (refreshes(platform), business(platform)) == (1, 0)
        platform.refusal = None
        assert type(await ask(source)) is Page
    assert (refreshes(platform), business(platform)) == (2, 1)


async def test_p3_a_refused_call_is_made_once_more_and_never_a_third_time() -> None:
    platform = Platform("national")
    async with opened(platform) as source:
        await ask(source)
        platform.denies_all = True
        assert type(await failure(source)) is SourceDenied
    assert business(platform) == 3, "the first, one refused, one more"


# P4: ciphers

OPENED = seal_secret("0123456789abcdef", APPKEY)
SPOILT = [
    pytest.param(seal_secret("0123456789abcdef", "rotated"), id="sealed with another key"),
    pytest.param(OPENED[:-8] + "AAAAAAA=", id="tampered in its padding"),
    pytest.param("AAAA" + OPENED[4:], id="tampered in its text"),
    pytest.param(OPENED[:20], id="cut in a block"),
    pytest.param("不是密文", id="no cipher text"),
    pytest.param("", id="none"),
]


@pytest.mark.parametrize("sealed", SPOILT)
async def test_p4_a_secret_that_cannot_be_opened_is_always_told_in_the_same_words(sealed: str) -> None:
    platform = Platform("national", refusal={"code": "0", "data": {"secret": sealed}})
    async with opened(platform) as source:
        error = await failure(source)
        assert (type(error), error.detail) == (SourceContractBroken, "密钥无法解开")
        platform.refusal = None
        assert type(await ask(source)) is Page, "nothing of it is kept"


KEY, OTHER = bytes(range(16)), bytes(16)
SEALED = seal_envelope(KEY, "APP0001", 1717200000, "数据".encode())
CIPHER = SEALED["data"]["data"]["encData"]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(CIPHER[:-2] + "00", id="padding"),
        pytest.param("00" + CIPHER[2:], id="text"),
        pytest.param(CIPHER[:-2], id="cut in a block"),
        pytest.param("", id="none"),
        pytest.param("zz", id="no cipher text"),
        pytest.param(sm4_seal(OTHER, b"x").hex(), id="another key"),
        pytest.param(bytes(16).hex(), id="zeros"),
    ],
)
def test_p4_an_sm4_envelope_that_cannot_be_opened_is_no_oracle(sent: str) -> None:
    """SM2 signatures are neither made nor checked yet (see adapters/guomi.py): a source that needs them cannot be mapped."""
    with pytest.raises(ValueError, match=r"^国密信封无法解开$") as raised:
        open_envelope(KEY, {"encData": sent})
    assert (raised.value.__suppress_context__, open_envelope(KEY, SEALED).decode()) == (True, "数据")
