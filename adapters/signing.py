"""Signatures of platforms and of WS-Security: pure functions, used by adapters and simulators alike.

Vectors are in `domain/domain.md` §4 and in `contract_tests/test_signing.py`. MD5, SHA-1 and ECB are what these
protocols prescribe; nothing of our own rests on them.
"""

import base64
import binascii
import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.padding import PKCS7

AES_BITS = 128


def national_sign(key: str, sid: str, rid: str, rtime: str) -> str:
    """国家平台 `gjgxjhpt_sign`: Base64(HMAC-SHA256(key, sid + rid + rtime)); `rtime` in milliseconds."""
    return base64.b64encode(hmac.digest(key.encode(), (sid + rid + rtime).encode(), "sha256")).decode()


def sha1prng_key(seed: str) -> bytes:
    """The 128-bit key of Java's `SHA1PRNG` seeded with this text: SHA1(SHA1(seed)), the first 16 bytes."""
    return hashlib.sha1(hashlib.sha1(seed.encode()).digest()).digest()[:16]


def seal_secret(secret: str, appkey: str) -> str:
    """What the national platform sends for a secret: Base64(AES/ECB/PKCS5(SHA1PRNG(appkey), secret))."""
    padder = PKCS7(AES_BITS).padder()
    encryptor = Cipher(AES(sha1prng_key(appkey)), ECB()).encryptor()
    padded = padder.update(secret.encode()) + padder.finalize()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()


def open_secret(cipher_b64: str, appkey: str) -> str:
    """The secret in what the national platform sent. Raises ValueError, always the same, when it cannot be opened."""
    try:
        decryptor = Cipher(AES(sha1prng_key(appkey)), ECB()).decryptor()
        unpadder = PKCS7(AES_BITS).unpadder()
        padded = decryptor.update(base64.b64decode("".join(cipher_b64.split()), validate=True)) + decryptor.finalize()
        return (unpadder.update(padded) + unpadder.finalize()).decode()
    except (ValueError, binascii.Error):
        raise ValueError("密钥无法解开") from None


def zhejiang_sign(app_key: str, secret: str, request_time_ms: str) -> str:
    """省级平台（浙江式）: md5(appKey + secret + requestTime), hexadecimal in small letters."""
    return hashlib.md5((app_key + secret + request_time_ms).encode()).hexdigest()


def wsse_digest(nonce: bytes, created: str, password: str) -> str:
    """WS-Security UsernameToken, PasswordDigest: Base64(SHA1(nonce + created + password))."""
    return base64.b64encode(hashlib.sha1(nonce + created.encode() + password.encode()).digest()).decode()
