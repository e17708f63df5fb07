"""Secrets of data-sharing platforms: fetched once for all, renewed in time, and once more when a signature is refused.

The platforms are servers of this process that count and can be told to wait, to forget secrets, and to live in another time.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web

from adapters.errors import SourceContractBroken, SourceDenied, SourceError, SourceTimeout, SourceUnavailable
from adapters.mapping.load import load_mappings
from adapters.open import open_source
from adapters.signing import national_sign, seal_secret, zhejiang_sign
from adapters.source import Call, Page, Source
from schema.load import load_registry

pytestmark = pytest.mark.anyio

MAPPINGS = load_mappings(load_registry())
LONG, SHORT = 20.0, 0.3
CROWD = 50
RID, APPKEY, APP_KEY, APP_SECRET = "RID-1", "appkey-CANARY", "APP-1", "secret-CANARY"
DENIED = {"national": {"code": "E-106", "message": "不在授权列表"}, "zhejiang": {"code": "14", "msg": "签名错误"}}


@dataclass
class Platform:
    """A platform. `secrets` are those that count now; `seen` counts requests by what they were."""

    family: str
    ahead: float = 0.0
    lifetime: float | None = 900.0
    gives_pair: bool = False
    denies_all: bool = False
    seen: Counter[str] = field(default_factory=Counter)
    secrets: dict[str, str] = field(default_factory=dict)
    refusal: Any = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    is_gated: bool = False
    url: str = ""

    def now(self) -> float:
        """The platform's time."""
        return time.time() + self.ahead

    async def answer(self, request: web.Request) -> web.Response:
        """Any request."""
        name = request.path.rsplit("/", 1)[-1].removesuffix(".htm")
        self.seen[name] += 1
        if name.startswith("refresh") and self.is_gated:
            await self.gate.wait()
        handle = self._national if self.family == "national" else self._zhejiang
        answered = handle(name, request.headers, request.query)
        headers = {"Date": formatdate(self.now(), usegmt=True)}
        if isinstance(answered, int):
            return web.Response(status=answered, headers=headers)
        return web.json_response(answered, headers=headers)

    def _national(self, name: str, headers: Mapping[str, str], _query: Mapping[str, str]) -> Any:
        sid, rid, rtime, sign = (headers.get(f"gjgxjhpt_{word}", "") for word in ("sid", "rid", "rtime", "sign"))
        if abs(int(rtime) / 1000 - self.now()) > 300 or rid != RID:
            return {"code": "-1", "message": "请求时间超出允许范围"}
        if name == "refreshappsecret":
            if self.refusal is not None:
                return self.refusal
            if sign != national_sign(APPKEY, sid, rid, rtime):
                return DENIED["national"]
            self.secrets[sid] = f"{sid}-{self.seen[name]}"
            data = {"secret": seal_secret(self.secrets[sid], APPKEY), "secretEndTime": self._end(self.lifetime)}
            return {"code": "0", "data": data, "message": "成功"}
        if self.denies_all or sign != national_sign(self.secrets.get(sid, ""), sid, rid, rtime):
            return DENIED["national"]
        return {"code": "0", "data": [{"uniscid": sid}]}

    def _zhejiang(self, name: str, _headers: Mapping[str, str], query: Mapping[str, str]) -> Any:
        at, sign = query["requestTime"], query["sign"]
        is_near = abs(int(at) / 1000 - self.now()) <= 300 and query["appKey"] == APP_KEY
        needed = {"refreshTokenByKey": APP_SECRET, "refreshTokenBySec": self.secrets.get("refresh")}
        secret = needed.get(name, self.secrets.get("request"))
        if self.refusal is not None and name in needed:
            return self.refusal
        if not is_near or secret is None or self.denies_all or sign != zhejiang_sign(APP_KEY, secret, at):
            return DENIED["zhejiang"]
        if name not in needed:
            return {"code": "00", "data": "", "datas": [{"zfzh": "1"}]}
        datas: dict[str, Any] = {}
        if name == "refreshTokenByKey":
            self.secrets["refresh"] = f"refresh-{self.seen[name]}"
            datas |= {"refreshSecret": self.secrets["refresh"], "refreshSecretEndTime": self._end(48 * 3600)}
        if name == "refreshTokenBySec" or self.gives_pair:
            self.secrets["request"] = f"request-{sum(self.seen.values())}"
            datas |= {"requestSecret": self.secrets["request"], "requestSecretEndTime": self._end(self.lifetime)}
        return {"code": "00", "msg": "成功", "data": "", "datas": datas}

    def _end(self, lifetime: float | None) -> int | str:
        return "" if lifetime is None else int((self.now() + lifetime) * 1000)


class Clock:
    """Our clock, which tests set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@asynccontextmanager
async def opened(platform: Platform, clock: Callable[[], float] = time.time) -> AsyncIterator[Source]:
    """A source on this platform."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", platform.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    name = "national_registry" if platform.family == "national" else "provincial_platform"
    words = {"URL": url, "RID": RID, "APPKEY": APPKEY, "APP_KEY": APP_KEY, "APP_SECRET": APP_SECRET}
    source = open_source(MAPPINGS[name], {f"{name.upper()}_{word}": value for word, value in words.items()}, clock)
    try:
        yield source
    finally:
        await source.aclose()
        await source.aclose()
        await runner.cleanup()


async def ask(source: Source, timeout: float = LONG, operation: str | None = None) -> Page:
    by_default = "enterprises_by_uscc" if "enterprises_by_uscc" in source.mapping.operations else "officers_by_cert"  # type: ignore[attr-defined]
    return await source.call(Call(operation or by_default, timeout, keys=["1"]))


async def crowd(source: Source) -> list[Any]:
    return await asyncio.gather(*(ask(source) for _ in range(CROWD)), return_exceptions=True)


@pytest.fixture(params=["national", "zhejiang"])
def platform(request: pytest.FixtureRequest) -> Platform:
    return Platform(request.param)


def refreshes(platform: Platform) -> int:
    return sum(count for name, count in platform.seen.items() if name.startswith("refresh"))


def business(platform: Platform) -> int:
    return sum(platform.seen.values()) - refreshes(platform)


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
