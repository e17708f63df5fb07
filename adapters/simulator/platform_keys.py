"""The keys of data-sharing platforms, from the platform's side: who may call, with which signature, until when."""

import hmac
import secrets as random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.mapping.written import NationalSigning, ZhejiangSigning
from adapters.signing import national_sign, seal_secret, zhejiang_sign
from adapters.simulator.simulation import FRESH, Simulation

NATIONAL_LIFETIME = 600.0
REQUEST_LIFETIME, REFRESH_LIFETIME = 900.0, 48 * 3600.0
ZHEJIANG_FRESH = 600.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a signature does not count, in the platform's own words."""

    code: str
    message: str


class KeyRing:
    """Secrets that were handed out; each counts until its own end, also when there is a newer one."""

    def __init__(self, simulation: Simulation, lifetime: float) -> None:
        self._clock = simulation.clock
        self._lifetime = lifetime
        self._secrets: dict[str, list[tuple[str, float]]] = {}

    def issue(self, holder: str) -> tuple[str, int]:
        """A fresh secret and its end in milliseconds since 1970."""
        now = self._clock()
        secret, end = random.token_hex(16), now + self._lifetime
        self._secrets[holder] = [*((s, e) for s, e in self._secrets.get(holder, ()) if e > now), (secret, end)]
        return secret, int(end * 1000)

    def valid(self, holder: str) -> list[str]:
        """The secrets that count now."""
        now = self._clock()
        return [secret for secret, end in self._secrets.get(holder, ()) if end > now]


class NationalKeys:
    """国家数据共享交换平台: four headers, a secret per service that the appkey opens (domain.md §4.1)."""

    def __init__(self, simulation: Simulation, signing: NationalSigning) -> None:
        self._simulation = simulation
        self._rid, self._appkey = simulation.secret(signing.rid), simulation.secret(signing.appkey)
        self._ring = KeyRing(simulation, _lifetime(simulation, NATIONAL_LIFETIME))
        self._services = {op.written.request.sid for op in simulation.mapping.operations.values()}
        self.refreshes = {("POST", signing.refresh): "refresh"}

    def check(self, headers: Mapping[str, str], _parameters: Mapping[str, str]) -> Refusal | None:
        """Whether a business request is signed with a secret that counts."""
        return self._check(headers, self._ring.valid(headers.get("gjgxjhpt_sid", "")))

    def refresh(self, _name: str, headers: Mapping[str, str], _parameters: Mapping[str, str]) -> Any:
        """A new secret for the service, sealed with the appkey."""
        if refusal := self._check(headers, [self._appkey]):
            return self.refused(refusal)
        secret, end = self._ring.issue(headers["gjgxjhpt_sid"])
        sealed = seal_secret(secret, self._appkey)
        return {"code": "0", "data": {"secret": sealed, "secretEndTime": end}, "message": "成功"}

    def refused(self, refusal: Refusal) -> Any:
        """The platform's answer to a wrong signature."""
        return {"code": refusal.code, "message": refusal.message}

    def _check(self, headers: Mapping[str, str], keys: list[str]) -> Refusal | None:
        sid, rid, rtime, sign = (headers.get(f"gjgxjhpt_{name}", "") for name in ("sid", "rid", "rtime", "sign"))
        if not (sid and rid and rtime and sign):
            return Refusal("-1", "缺少请求头 gjgxjhpt_rid、gjgxjhpt_sid、gjgxjhpt_rtime 或 gjgxjhpt_sign")
        if rid != self._rid or sid not in self._services:
            return Refusal("E-106", "请求者不在服务的授权列表中")
        if not is_fresh(rtime, self._simulation.clock(), FRESH):
            return Refusal("-1", "请求时间超出允许范围")
        if not any(_same(sign, national_sign(key, sid, rid, rtime)) for key in keys):
            return Refusal("-1", "签名错误")
        return None


class ZhejiangKeys:
    """省级平台（浙江式）: app secret -> refresh secret (48 h) -> request secret (15 min) (domain.md §4.2)."""

    def __init__(self, simulation: Simulation, signing: ZhejiangSigning) -> None:
        self._simulation = simulation
        self._app_key, self._app_secret = simulation.secret(signing.app_key), simulation.secret(signing.app_secret)
        self._refresh = KeyRing(simulation, REFRESH_LIFETIME)
        self._request = KeyRing(simulation, _lifetime(simulation, REQUEST_LIFETIME))
        self.refreshes = {
            (method, path): name
            for method in ("GET", "POST")
            for path, name in (
                (signing.refresh_by_key, "refresh_by_key"),
                (signing.refresh_by_secret, "refresh_by_secret"),
            )
        }

    def check(self, _headers: Mapping[str, str], parameters: Mapping[str, str]) -> Refusal | None:
        """Whether a business request is signed with a request secret that counts."""
        return self._check(parameters, self._request.valid(self._app_key))

    def refresh(self, name: str, _headers: Mapping[str, str], parameters: Mapping[str, str]) -> Any:
        """A new pair of secrets, for the app secret or for a refresh secret."""
        keys = [self._app_secret] if name == "refresh_by_key" else self._refresh.valid(self._app_key)
        if refusal := self._check(parameters, keys):
            return self.refused(refusal)
        refresh_secret, refresh_end = self._refresh.issue(self._app_key)
        request_secret, request_end = self._request.issue(self._app_key)
        pair = {
            "refreshSecret": refresh_secret,
            "refreshSecretEndTime": refresh_end,
            "requestSecret": request_secret,
            "requestSecretEndTime": request_end,
        }
        return {"code": "00", "msg": "成功", "data": "", "datas": pair, "dataCount": 1}

    def refused(self, refusal: Refusal) -> Any:
        """The platform's answer to a wrong signature."""
        return {"code": refusal.code, "msg": refusal.message, "data": "", "datas": "", "dataCount": 0}

    def _check(self, parameters: Mapping[str, str], keys: list[str]) -> Refusal | None:
        app_key, sign, at = (parameters.get(name, "") for name in ("appKey", "sign", "requestTime"))
        if app_key != self._app_key:
            return Refusal("14", "appKey 不存在")
        if not is_fresh(at, self._simulation.clock(), ZHEJIANG_FRESH):
            return Refusal("14", "requestTime 超出允许范围")
        if not any(_same(sign, zhejiang_sign(app_key, key, at)) for key in keys):
            return Refusal("14", "签名错误")
        return None


Keys = NationalKeys | ZhejiangKeys


def keys_for(simulation: Simulation, signing: NationalSigning | ZhejiangSigning) -> Keys:
    """The keys of the platform that this scheme belongs to."""
    if isinstance(signing, NationalSigning):
        return NationalKeys(simulation, signing)
    return ZhejiangKeys(simulation, signing)


def is_fresh(milliseconds: str, now: float, within: float) -> bool:
    """Whether a time stamp is near enough to now, on either side."""
    return milliseconds.isascii() and milliseconds.isdigit() and abs(int(milliseconds) / 1000 - now) <= within


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())


def _lifetime(simulation: Simulation, usual: float) -> float:
    return usual if simulation.secret_lifetime is None else simulation.secret_lifetime
