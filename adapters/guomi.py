"""国密: SM3 and SM4 from `cryptography`, and the envelope that carries SM4 data (domain.md §4.3).

SM2 is not here: `cryptography` has none, and `gmssl-pyx` is not installed. So `signData` of an envelope can neither be
made nor checked; a source that demands it cannot be mapped yet. Which SM4 mode, padding and key derivation the
insurance platform uses is not verified [K]: ECB with PKCS#7 and a 16-byte key are assumed, and the key is the caller's.
"""

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SM3, Hash
from cryptography.hazmat.primitives.padding import PKCS7

BLOCK_BITS = 128


def sm3_hex(data: bytes) -> str:
    """The SM3 digest in hexadecimal, small letters."""
    digest = Hash(SM3())
    digest.update(data)
    return digest.finalize().hex()


def sm4_ecb_encrypt(key: bytes, data: bytes) -> bytes:
    """SM4-ECB of whole 16-byte blocks, without padding. Raises ValueError for other lengths."""
    encryptor = Cipher(SM4(key), ECB()).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def sm4_ecb_decrypt(key: bytes, data: bytes) -> bytes:
    """The reverse of `sm4_ecb_encrypt`."""
    decryptor = Cipher(SM4(key), ECB()).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def sm4_seal(key: bytes, data: bytes) -> bytes:
    """SM4-ECB with PKCS#7 padding, of data of any length."""
    padder = PKCS7(BLOCK_BITS).padder()
    return sm4_ecb_encrypt(key, padder.update(data) + padder.finalize())


def sm4_open(key: bytes, data: bytes) -> bytes:
    """The reverse of `sm4_seal`. Raises ValueError, always with the same words, when it cannot be opened."""
    try:
        unpadder = PKCS7(BLOCK_BITS).unpadder()
        return unpadder.update(sm4_ecb_decrypt(key, data)) + unpadder.finalize()
    except ValueError:
        raise ValueError("国密信封无法解开") from None


def seal_envelope(key: bytes, app_code: str, timestamp: int, data: bytes) -> dict[str, Any]:
    """An envelope around `data`, without `signData` (SM2); `timestamp` in seconds since 1970."""
    inner = {"encData": sm4_seal(key, data).hex()}
    words = {"appCode": app_code, "version": "1.0.0", "encType": "SM4", "signType": "SM2"}
    return {"data": {"data": inner, **words, "timestamp": timestamp}}


def open_envelope(key: bytes, envelope: Mapping[str, Any]) -> bytes:
    """What is in an envelope, nested or flat (`appId/encData/signData`). Raises ValueError. No signature is checked."""
    node: Any = envelope
    while isinstance(node, Mapping) and "encData" not in node:
        node = node.get("data")
    sealed = node["encData"] if isinstance(node, Mapping) else None
    if not isinstance(sealed, str):
        raise ValueError("答复不是国密信封：没有 encData")
    try:
        data = bytes.fromhex(sealed)
    except ValueError:
        raise ValueError("国密信封无法解开") from None
    return sm4_open(key, data)
