"""Data-sharing platforms for tests: servers of this process that count and can be told to wait, to forget secrets, to refuse,
and to live in another time.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any

from aiohttp import web

from adapters.mapping.load import load_mappings
from adapters.open import open_source
from adapters.signing import national_sign, seal_secret, zhejiang_sign
from adapters.source import Call, Page, Source
from schema.load import load_registry

MAPPINGS = load_mappings(load_registry())
LONG, SHORT = 20.0, 0.3
CROWD = 50
RID, APPKEY, APP_KEY, APP_SECRET = "RID-1", "appkey-CANARY", "APP-1", "secret-CANARY"
DENIED = {"national": {"code": "E-106", "message": "不在授权列表"}, "zhejiang": {"code": "14", "msg": "签名错误"}}


@dataclass
class Platform:
    """A platform. `secrets` are those that count now; `seen` counts requests by what they were; `refusal` is said to
    refreshes and `business` to all others, with `headers`.
    """

    family: str
    ahead: float = 0.0
    lifetime: float | None = 900.0
    gives_pair: bool = False
    denies_all: bool = False
    seen: Counter[str] = field(default_factory=Counter)
    secrets: dict[str, str] = field(default_factory=dict)
    refusal: Any = None
    business: Any = None
    headers: dict[str, str] = field(default_factory=dict)
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
        if self.business is not None and not name.startswith("refresh"):
            answered = self.business
        headers = {"Date": formatdate(self.now(), usegmt=True), **self.headers}
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
async def opened(
    platform: Platform, clock: Callable[[], float] = time.time, exhausted: Sequence[str] = ()
) -> AsyncIterator[Source]:
    """A source on this platform; `exhausted` are codes that its mapping gives this meaning."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", platform.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    name = "national_registry" if platform.family == "national" else "provincial_platform"
    words = {"URL": url, "RID": RID, "APPKEY": APPKEY, "APP_KEY": APP_KEY, "APP_SECRET": APP_SECRET}
    mapping = MAPPINGS[name]
    connect: Any = mapping.connect
    outcome = connect.outcome.model_copy(update={"exhausted": [*exhausted]})
    mapping = replace(mapping, connect=connect.model_copy(update={"outcome": outcome}))
    source = open_source(mapping, {f"{name.upper()}_{word}": value for word, value in words.items()}, clock)
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


def refreshes(platform: Platform) -> int:
    return sum(count for name, count in platform.seen.items() if name.startswith("refresh"))


def business(platform: Platform) -> int:
    return sum(platform.seen.values()) - refreshes(platform)
