"""Simulated data-sharing platforms check signatures and hand out secrets; the client here signs by domain.md §4 alone."""

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator

import httpx
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from adapters.mapping.load import load_mappings
from adapters.simulator.serve import Simulator, invent_secrets, start
from schema.load import load_registry

MAPPINGS = load_mappings(load_registry())
REGISTRY, PLATFORM = MAPPINGS["national_registry"], MAPPINGS["provincial_platform"]
SID, RID, APPKEY = "s_0000000000000_1001", "national-registry-rid-sample", "national-registry-appkey-sample"
APP_KEY, APP_SECRET = "provincial-platform-app-key-sample", "provincial-platform-app-secret-sample"
KNOWN = "91350100MA0B00015H"


class Clock:
    """A clock that tests set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def national(clock: Clock) -> Iterator[Simulator]:
    with start(REGISTRY, invent_secrets(REGISTRY), clock=clock) as simulator:
        yield simulator


@pytest.fixture
def zhejiang(clock: Clock) -> Iterator[Simulator]:
    with start(PLATFORM, invent_secrets(PLATFORM), clock=clock) as simulator:
        yield simulator


# 国家数据共享交换平台


def national_headers(key: str, sid: str = SID, rid: str = RID, seconds: float | None = None) -> dict[str, str]:
    rtime = str(int((time.time() if seconds is None else seconds) * 1000))
    sign = base64.b64encode(hmac.digest(key.encode(), f"{sid}{rid}{rtime}".encode(), hashlib.sha256)).decode()
    return {"gjgxjhpt_rid": rid, "gjgxjhpt_sid": sid, "gjgxjhpt_rtime": rtime, "gjgxjhpt_sign": sign}


def opened(sealed: str, appkey: str) -> str:
    """AES/ECB/PKCS5 with Java's SHA1PRNG(appkey)."""
    key = hashlib.sha1(hashlib.sha1(appkey.encode()).digest()).digest()[:16]
    decryptor = Cipher(AES(key), ECB()).decryptor()
    padded = decryptor.update(base64.b64decode(sealed)) + decryptor.finalize()
    return padded[: -padded[-1]].decode()


def refresh(simulator: Simulator, headers: dict[str, str]) -> dict:
    return httpx.post(f"{simulator.url}/sysapi/auth/refreshappsecret", headers=headers, trust_env=False).json()


def new_secret(simulator: Simulator, clock: Clock, sid: str = SID) -> str:
    answer = refresh(simulator, national_headers(APPKEY, sid, seconds=clock()))
    assert (answer["code"], answer["message"]) == ("0", "成功")
    assert abs(answer["data"]["secretEndTime"] / 1000 - clock() - 600) < 30
    return opened(answer["data"]["secret"], APPKEY)


def ask(simulator: Simulator, headers: dict[str, str], body: dict | None = None) -> dict:
    body = body or {"uniscidList": [KNOWN, "none"]}
    return httpx.post(f"{simulator.url}/httpproxy", headers=headers, json=body, trust_env=False).json()


def test_the_inline_signature_agrees_with_the_vector_of_the_domain():
    signed = national_headers("test-appsecret", "s_TEST0000000000_0001", "TEST-RID-0001", 1717200000)
    assert signed["gjgxjhpt_sign"] == "A/baCEs0IXJDTXcSdSMrnHvv3dk7yuWObITmJaUmpX8="
    assert hashlib.md5(b"testAppKeytestSecret1717200000000").hexdigest() == "b43ea58ae762b0faf9d78e71ac1cf91a"


def test_a_secret_is_fetched_with_the_appkey_and_then_signs_business_calls(national, clock):
    answer = ask(national, national_headers(new_secret(national, clock)))
    assert (answer["code"], answer["message"], answer["total"]) == ("0", "成功", 1)
    assert [(record["uniscid"], record["apprdate"]) for record in answer["data"]] == [(KNOWN, 1698891630000)]


def test_services_share_a_path_and_differ_by_their_code_and_each_has_its_own_secret(national, clock):
    other = "s_0000000000000_1002"
    secret = new_secret(national, clock, other)
    body = {"apprdate": "1723075688000", "pageNum": 1, "pageSize": 2}
    answer = ask(national, national_headers(secret, other), body)
    assert [record["apprdate"] for record in answer["data"]] == [1723075688000, 1730370600000]
    assert answer["total"] == 3
    assert ask(national, national_headers(secret, SID))["message"] == "签名错误"


def test_a_wrong_signature_is_minus_one(national, clock):
    new_secret(national, clock)
    assert ask(national, national_headers("wrong")) == {"code": "-1", "message": "签名错误"}
    assert ask(national, national_headers(APPKEY)) == {"code": "-1", "message": "签名错误"}
    assert refresh(national, national_headers("wrong")) == {"code": "-1", "message": "签名错误"}


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_stale_or_future_time_stamp_is_refused(national, clock, seconds):
    secret = new_secret(national, clock)
    assert ask(national, national_headers(secret, seconds=time.time() + seconds))["message"] == "请求时间超出允许范围"
    within = seconds - 10 if seconds > 0 else seconds + 10
    assert ask(national, national_headers(secret, seconds=time.time() + within))["code"] == "0"


def test_a_service_or_requester_that_is_not_listed_is_e_106(national):
    refused = {"code": "E-106", "message": "请求者不在服务的授权列表中"}
    assert refresh(national, national_headers(APPKEY, sid="s_0000000000000_9999")) == refused
    assert ask(national, national_headers(APPKEY, sid="s_0000000000000_9999")) == refused
    assert refresh(national, national_headers(APPKEY, rid="somebody")) == refused


def test_a_missing_header_is_minus_one(national):
    headers = national_headers(APPKEY)
    del headers["gjgxjhpt_rtime"]
    assert refresh(national, headers)["code"] == "-1"


def test_a_secret_counts_until_its_own_end_even_when_there_is_a_newer_one(national, clock):
    first = new_secret(national, clock)
    clock.ahead = 400
    second = new_secret(national, clock)
    assert first != second
    for secret in (first, second):
        assert ask(national, national_headers(secret, seconds=clock()))["code"] == "0"
    clock.ahead = 610
    assert ask(national, national_headers(first, seconds=clock())) == {"code": "-1", "message": "签名错误"}
    assert ask(national, national_headers(second, seconds=clock()))["code"] == "0"


def test_how_long_secrets_last_can_be_set():
    with start(REGISTRY, invent_secrets(REGISTRY), secret_lifetime=0) as simulator:
        sealed = refresh(simulator, national_headers(APPKEY))["data"]["secret"]
        assert ask(simulator, national_headers(opened(sealed, APPKEY)))["code"] == "-1"


def test_nothing_found_and_rejections_have_their_own_codes(national, clock):
    headers = national_headers(new_secret(national, clock))
    assert ask(national, headers, {"uniscidList": ["none"]}) == {
        "code": "E-404",
        "message": "未查询到数据",
        "total": 0,
        "data": [],
    }
    too_many = ask(national, headers, {"uniscidList": [str(n) for n in range(21)]})
    assert too_many == {"code": "400", "message": "一次应查 1 至 20 个键，实有 21 个"}


# 省级平台（浙江式）


def zhejiang_parameters(secret: str, app_key: str = APP_KEY, seconds: float | None = None) -> dict[str, str]:
    at = str(int((time.time() if seconds is None else seconds) * 1000))
    return {"appKey": app_key, "sign": hashlib.md5(f"{app_key}{secret}{at}".encode()).hexdigest(), "requestTime": at}


def secrets_for(simulator: Simulator, how: str, parameters: dict[str, str]) -> dict:
    return httpx.get(f"{simulator.url}/gateway/app/{how}.htm", params=parameters, trust_env=False).json()


def first_pair(simulator: Simulator) -> dict:
    return secrets_for(simulator, "refreshTokenByKey", zhejiang_parameters(APP_SECRET))["datas"]


def officers(simulator: Simulator, parameters: dict[str, str], certificates: str) -> dict:
    address = f"{simulator.url}/gateway/api/001/dataSharing/zfry.htm"
    return httpx.post(address, params=parameters, data={"zfzhs": certificates}, trust_env=False).json()


def test_the_app_secret_gives_a_refresh_secret_that_gives_request_secrets(zhejiang, clock):
    answer = secrets_for(zhejiang, "refreshTokenByKey", zhejiang_parameters(APP_SECRET))
    assert (answer["code"], answer["data"], answer["dataCount"]) == ("00", "", 1)
    pair = answer["datas"]
    assert abs(pair["refreshSecretEndTime"] / 1000 - clock() - 48 * 3600) < 30
    assert abs(pair["requestSecretEndTime"] / 1000 - clock() - 15 * 60) < 30
    renewed = secrets_for(zhejiang, "refreshTokenBySec", zhejiang_parameters(pair["refreshSecret"]))["datas"]
    for secret in (pair["requestSecret"], renewed["requestSecret"]):
        found = officers(zhejiang, zhejiang_parameters(secret), "35010020240001,35010020240003,nobody")
        assert [record["zfzh"] for record in found["datas"]] == ["35010020240001", "35010020240003"]
        assert {name: found[name] for name in ("code", "msg", "data", "dataCount", "totalDataCount", "totalPage")} == {
            "code": "00",
            "msg": "成功",
            "data": "",
            "dataCount": 2,
            "totalDataCount": 2,
            "totalPage": 1,
        }
        assert found["requestId"]


def test_the_signature_may_stand_in_the_form_too(zhejiang):
    secret = first_pair(zhejiang)["requestSecret"]
    address = f"{zhejiang.url}/gateway/api/001/dataSharing/zfzt.htm"
    form = {"ztdms": "11350100MB0A00018J", **zhejiang_parameters(secret)}
    assert httpx.post(address, data=form, trust_env=False).json()["dataCount"] == 1


def test_each_secret_signs_only_its_own_kind_of_request(zhejiang):
    pair = first_pair(zhejiang)
    wrong = ("14", "签名错误")
    for secret in (APP_SECRET, pair["refreshSecret"], "wrong"):
        answer = officers(zhejiang, zhejiang_parameters(secret), "35010020240001")
        assert (answer["code"], answer["msg"], answer["datas"]) == (*wrong, "")
    for how, secret in (("refreshTokenByKey", pair["refreshSecret"]), ("refreshTokenBySec", APP_SECRET)):
        answer = secrets_for(zhejiang, how, zhejiang_parameters(secret))
        assert (answer["code"], answer["msg"]) == wrong


def test_a_stale_request_time_or_an_unknown_app_is_14(zhejiang):
    stale = secrets_for(zhejiang, "refreshTokenByKey", zhejiang_parameters(APP_SECRET, seconds=time.time() - 601))
    assert (stale["code"], stale["msg"]) == ("14", "requestTime 超出允许范围")
    unknown = secrets_for(zhejiang, "refreshTokenByKey", zhejiang_parameters(APP_SECRET, app_key="somebody"))
    assert (unknown["code"], unknown["msg"]) == ("14", "appKey 不存在")


def test_request_secrets_end_before_refresh_secrets(zhejiang, clock):
    pair = first_pair(zhejiang)
    clock.ahead = 16 * 60
    late = zhejiang_parameters(pair["requestSecret"], seconds=clock())
    assert officers(zhejiang, late, "35010020240001")["code"] == "14"
    by_secret = zhejiang_parameters(pair["refreshSecret"], seconds=clock())
    assert secrets_for(zhejiang, "refreshTokenBySec", by_secret)["code"] == "00"
    clock.ahead = 49 * 3600
    by_secret = zhejiang_parameters(pair["refreshSecret"], seconds=clock())
    assert secrets_for(zhejiang, "refreshTokenBySec", by_secret)["code"] == "14"


def test_changes_of_a_platform_are_paged_to_their_end(zhejiang):
    secret = first_pair(zhejiang)["requestSecret"]
    address = f"{zhejiang.url}/gateway/api/001/dataSharing/zfrygx.htm"
    records = zhejiang.dataset.records("Officer")
    found: list[str] = []
    for page in range(1, 100):
        query = {"gxsj": "2000-01-01 00:00:00", "pageNum": page, "pageSize": 4, **zhejiang_parameters(secret)}
        answer = httpx.get(address, params=query, trust_env=False).json()
        assert (answer["totalDataCount"], answer["totalPage"]) == (len(records), -(-len(records) // 4))
        found += [record["zfzh"] for record in answer["datas"]]
        if len(found) >= answer["totalDataCount"]:
            break
    assert found == [r["zfzh"] for r in sorted(records, key=lambda record: (record["gxsj"], record["zfzh"]))]


def test_the_date_header_is_the_platforms_own_time(national, clock):
    clock.ahead = 7200
    date = httpx.get(national.url, trust_env=False).headers["date"]
    assert abs(time.mktime(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone - clock()) < 30
