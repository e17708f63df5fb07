"""Secrets of data-sharing platforms: fetched once for all, renewed in time, and once more when a signature is refused.

The platforms are those of contract_tests/platforms.py.
"""

import asyncio
from typing import Any

import pytest

from adapters.errors import SourceContractBroken, SourceDenied, SourceError, SourceTimeout, SourceUnavailable
from adapters.signing import seal_secret
from adapters.source import Page
from contract_tests.platforms import (
    CROWD,
    DENIED,
    LONG,
    SHORT,
    Clock,
    Platform,
    ask,
    business,
    crowd,
    opened,
    refreshes,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["national", "zhejiang"])
def platform(request: pytest.FixtureRequest) -> Platform:
    return Platform(request.param)


# Both families


async def test_many_calls_at_once_fetch_one_secret(platform: Platform) -> None:
    platform.gives_pair = True
    platform.is_gated = True
    async with opened(platform) as source:
        calls = asyncio.create_task(crowd(source))
        while not platform.seen:  # noqa: ASYNC110  the server's own event would say no more
            await asyncio.sleep(0)
        platform.gate.set()
        pages = await calls
    assert (len(pages), {type(page) for page in pages}) == (CROWD, {Page})
    assert (refreshes(platform), business(platform)) == (1, CROWD)


async def test_a_secret_is_kept_while_it_counts(platform: Platform) -> None:
    async with opened(platform) as source:
        await ask(source)
        first = refreshes(platform)
        for _ in range(3):
            await ask(source)
    assert (refreshes(platform), business(platform)) == (first, 4)


async def test_a_forgotten_secret_is_renewed_once_for_all_and_every_call_made_once_more(platform: Platform) -> None:
    async with opened(platform) as source:
        await ask(source)
        before = refreshes(platform)
        platform.secrets.pop("s_0000000000000_1001", None)
        platform.secrets.pop("request", None)
        pages = await crowd(source)
    assert {type(page) for page in pages} == {Page}
    assert refreshes(platform) == before + 1
    assert business(platform) <= 1 + 2 * CROWD


async def test_a_secret_that_never_counts_is_denial_after_one_renewal(platform: Platform) -> None:
    platform.gives_pair = True
    async with opened(platform) as source:
        await ask(source)
        platform.denies_all = True
        if platform.family == "zhejiang":
            with pytest.raises(SourceDenied):  # its refreshes are refused, too
                await ask(source)
            assert (refreshes(platform), business(platform)) == (3, 2)
            return
        with pytest.raises(SourceDenied) as raised:
            await ask(source)
    assert (refreshes(platform), business(platform)) == (2, 3)
    assert (raised.value.source, raised.value.operation) == ("national_registry", "enterprises_by_uscc")


async def test_a_refused_refresh_is_denial_for_all_who_waited_and_tells_no_secret(platform: Platform) -> None:
    platform.refusal = DENIED[platform.family]
    platform.is_gated = True
    async with opened(platform) as source:
        calls = asyncio.create_task(crowd(source))
        while not platform.seen:  # noqa: ASYNC110
            await asyncio.sleep(0)
        platform.gate.set()
        failures = await calls
    assert {type(failure) for failure in failures} == {SourceDenied}
    assert (refreshes(platform), business(platform)) == (1, 0)
    assert [f for f in failures if "CANARY" in f"{f} {f!r}"] == []


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (500, SourceUnavailable),
        (403, SourceDenied),
        ({"code": "0", "data": {}}, SourceContractBroken),
        ([], SourceContractBroken),
    ],
)
async def test_a_refresh_that_fails_is_told_as_what_it_is(
    platform: Platform, refusal: Any, error: type[SourceError]
) -> None:
    ok = {"code": "00", "datas": ""} if platform.family == "zhejiang" else refusal
    platform.refusal = ok if isinstance(refusal, dict) else refusal
    async with opened(platform) as source:
        with pytest.raises(error) as raised:
            await ask(source)
    assert type(raised.value) is error


async def test_a_refresh_that_hangs_costs_each_caller_its_own_time_only(platform: Platform) -> None:
    platform.is_gated = True
    platform.gives_pair = True
    async with opened(platform) as source:
        patient = asyncio.create_task(ask(source))
        hasty = await asyncio.gather(*(ask(source, SHORT) for _ in range(3)), return_exceptions=True)
        platform.gate.set()
        assert {type(failure) for failure in hasty} == {SourceTimeout}
        assert type(await patient) is Page


async def test_a_caller_who_gives_up_does_not_take_the_others_with_him(platform: Platform) -> None:
    platform.is_gated = True
    platform.gives_pair = True
    async with opened(platform) as source:
        hasty = asyncio.create_task(ask(source, SHORT))
        while not platform.seen:  # noqa: ASYNC110
            await asyncio.sleep(0)
        patient = asyncio.create_task(ask(source))
        with pytest.raises(SourceTimeout):
            await hasty
        platform.gate.set()
        assert type(await patient) is Page


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
async def test_the_platforms_time_is_learned_from_its_date_when_a_signature_is_refused(
    platform: Platform, ahead: float
) -> None:
    platform.ahead = ahead
    platform.gives_pair = True
    async with opened(platform) as source:
        await ask(source)
        assert (refreshes(platform), business(platform)) == (2, 1)
        await ask(source)
        assert (refreshes(platform), business(platform)) == (2, 2)


async def test_a_clock_that_steps_while_a_secret_counts_costs_one_more_call(platform: Platform) -> None:
    platform.gives_pair = True
    async with opened(platform) as source:
        await ask(source)
        platform.ahead = 3600.0
        assert type(await ask(source)) is Page
    assert business(platform) == 3


# 国家数据共享交换平台


async def test_each_service_of_the_national_platform_has_its_own_secret() -> None:
    platform = Platform("national")
    async with opened(platform) as source:
        found = [
            (await ask(source, LONG, operation)).records for operation in ("enterprises_by_uscc", "enterprises_changed")
        ]
    assert found == [[{"uniscid": "s_0000000000000_1001"}], [{"uniscid": "s_0000000000000_1002"}]]
    assert refreshes(platform) == 2


@pytest.mark.parametrize(
    ("lifetime", "kept", "renewed"), [(900.0, 839.0, 841.0), (None, 539.0, 541.0), (60.0, 29.0, 31.0)]
)
async def test_a_national_secret_is_renewed_before_it_ends(lifetime: float | None, kept: float, renewed: float) -> None:
    platform, clock = Platform("national", lifetime=lifetime), Clock()
    async with opened(platform, clock) as source:
        await ask(source)
        for ahead, expected in ((kept, 1), (renewed, 2)):
            clock.ahead = platform.ahead = ahead
            await ask(source)
            assert refreshes(platform) == expected
    assert business(platform) == 3


async def test_a_sealed_secret_that_cannot_be_opened_breaks_the_contract_and_says_no_more() -> None:
    platform = Platform("national", refusal={"code": "0", "data": {"secret": seal_secret("x", "another")}})
    async with opened(platform) as source:
        with pytest.raises(SourceContractBroken, match=r"^密钥无法解开$"):
            await ask(source)


# 省级平台（浙江式）


async def test_the_zhejiang_chain_is_app_secret_refresh_secret_request_secret() -> None:
    platform = Platform("zhejiang")
    async with opened(platform) as source:
        assert (await ask(source)).records == [{"zfzh": "1"}]
    assert platform.seen == {"refreshTokenByKey": 1, "refreshTokenBySec": 1, "zfry": 1}


async def test_a_request_secret_that_comes_with_the_refresh_secret_is_used() -> None:
    platform = Platform("zhejiang", gives_pair=True)
    async with opened(platform) as source:
        await ask(source)
    assert platform.seen == {"refreshTokenByKey": 1, "zfry": 1}


async def test_a_request_secret_is_renewed_three_minutes_early_by_the_refresh_secret() -> None:
    platform, clock = Platform("zhejiang"), Clock()
    async with opened(platform, clock) as source:
        await ask(source)
        for ahead, by_secret in ((719.0, 1), (721.0, 2)):
            clock.ahead = platform.ahead = ahead
            await ask(source)
            assert platform.seen["refreshTokenBySec"] == by_secret
    assert (platform.seen["refreshTokenByKey"], platform.seen["zfry"]) == (1, 3)


async def test_a_refresh_secret_that_ended_or_is_refused_is_fetched_again_with_the_app_secret() -> None:
    platform, clock = Platform("zhejiang"), Clock()
    async with opened(platform, clock) as source:
        await ask(source)
        clock.ahead = platform.ahead = 48 * 3600.0
        await ask(source)
        assert platform.seen == {"refreshTokenByKey": 2, "refreshTokenBySec": 2, "zfry": 2}
        platform.secrets.clear()
        await ask(source)
    assert platform.seen == {"refreshTokenByKey": 3, "refreshTokenBySec": 4, "zfry": 4}
