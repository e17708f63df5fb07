"""Signatures and ciphers agree with the vectors of domain.md §4, and with implementations other than ours."""

import base64
from typing import Any

import pytest
from zeep.wsse.username import UsernameToken

from adapters.guomi import (
    open_envelope,
    seal_envelope,
    sm3_hex,
    sm4_ecb_decrypt,
    sm4_ecb_encrypt,
    sm4_open,
    sm4_seal,
)
from adapters.signing import national_sign, open_secret, seal_secret, sha1prng_key, wsse_digest, zhejiang_sign

KEY = bytes.fromhex("0123456789abcdeffedcba9876543210")


def test_the_national_platform_signs_sid_rid_rtime_in_this_order() -> None:
    sign = national_sign("test-appsecret", "s_TEST0000000000_0001", "TEST-RID-0001", "1717200000000")
    assert sign == "A/baCEs0IXJDTXcSdSMrnHvv3dk7yuWObITmJaUmpX8="


def test_the_key_that_java_derives_with_sha1prng() -> None:
    assert sha1prng_key("test-appkey").hex() == "0e57f742465f168272cc9770d947945a"


@pytest.mark.parametrize("secret", ["a", "0123456789abcdef", "密钥" * 20])
def test_a_sealed_secret_is_opened_with_the_same_appkey(secret: str) -> None:
    assert open_secret(seal_secret(secret, "test-appkey"), "test-appkey") == secret


@pytest.mark.parametrize(
    "sealed",
    [
        pytest.param(seal_secret("secret", "another-appkey"), id="another key"),
        pytest.param(seal_secret("secret", "test-appkey")[:-8] + "AAAAAAA=", id="tampered"),
        pytest.param("", id="empty"),
        pytest.param("AAAA", id="no whole block"),
        pytest.param("不是 base64", id="no base64"),
    ],
)
def test_what_cannot_be_opened_says_no_more_than_that(sealed: str) -> None:
    with pytest.raises(ValueError, match=r"^密钥无法解开$"):
        open_secret(sealed, "test-appkey")


def test_the_zhejiang_platform_signs_with_md5() -> None:
    assert zhejiang_sign("testAppKey", "testSecret", "1717200000000") == "b43ea58ae762b0faf9d78e71ac1cf91a"


def test_a_password_digest_is_the_one_zeep_makes() -> None:
    token: Any = UsernameToken
    made = token("u", "口令", use_digest=True, zulu_timestamp=True)._create_password_digest()
    digest, nonce, created = (str(element.text) for element in made)
    assert wsse_digest(base64.b64decode(nonce), created, "口令") == digest


def test_sm3_of_abc() -> None:
    assert sm3_hex(b"abc") == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


def test_sm4_of_one_block() -> None:
    sealed = sm4_ecb_encrypt(KEY, KEY)
    assert (sealed.hex(), sm4_ecb_decrypt(KEY, sealed)) == ("681edf34d206965e86b3e94f536e4246", KEY)


@pytest.mark.parametrize("data", [b"", b"x", b"0123456789abcdef", "闽".encode() * 33])
def test_sm4_with_padding_carries_any_length(data: bytes) -> None:
    assert sm4_open(KEY, sm4_seal(KEY, data)) == data


@pytest.mark.parametrize("sealed", [b"", b"x", b"\0" * 16, sm4_seal(bytes(16), b"data")])
def test_wrong_sm4_padding_says_no_more_than_that(sealed: bytes) -> None:
    with pytest.raises(ValueError, match=r"^国密信封无法解开$"):
        sm4_open(KEY, sealed)


def test_the_guomi_envelope_is_read_in_both_its_shapes() -> None:
    nested = seal_envelope(KEY, "APP0001", 1717200000, "数据".encode())
    flat = {"appId": "APP0001", "encData": nested["data"]["data"]["encData"], "signData": ""}
    assert [open_envelope(KEY, nested), open_envelope(KEY, flat)] == ["数据".encode()] * 2


@pytest.mark.parametrize("envelope", [{}, {"data": None}, {"data": "x"}, {"encData": None}, {"encData": "zz"}])
def test_what_is_no_guomi_envelope_is_refused(envelope: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="国密信封"):
        open_envelope(KEY, envelope)
