"""Keys of agencies: who may deliver to which source. Only their hashes are kept, and every comparison takes the same time."""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from schema.problems import Problem, Problems, did_you_mean

LINE = re.compile(r"([a-z][a-z0-9_]*)\s+sha256:([0-9a-f]{64})(?:\s+(\S.*))?")
PREFIX = "mzf_"


@dataclass(frozen=True, slots=True)
class Key:
    """One key: the source it is for, and its hash. `note` says whose it is, for people and logs."""

    source: str
    digest: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryKeys:
    """All keys; without any the door is closed."""

    keys: tuple[Key, ...] = ()

    def source_of(self, given: str) -> Key | None:
        """The key that was given; None when there is no such key. Looks at all of them, whichever it is."""
        digest, found = hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest(), None
        for key in self.keys:
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found


class Rates:
    """How often each key is used: so many requests a minute, spent at once or as time goes by. One for the process."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self.clock = float(per_minute), clock
        self.left: dict[str, tuple[float, float]] = {}
        """What is counted -> how many requests are left, as of when."""

    def take(self, counted_as: str) -> bool:
        """Whether one more request is within the rate."""
        now = self.clock()
        left, before = self.left.get(counted_as, (self.per_minute, now))
        left = min(self.per_minute, left + (now - before) * self.per_minute / 60)
        is_within = left >= 1
        self.left[counted_as] = (left - is_within, now)
        return is_within


def make_key(source: str) -> tuple[str, str]:
    """A new key, and the line for the file of keys."""
    key = PREFIX + secrets.token_urlsafe(32)
    return key, f"{source} sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def read_keys(file: Path | None, sources: set[str]) -> DeliveryKeys:
    """The keys of a file, one a line: `source sha256:… note`; `#` begins a remark. Raises Problems."""
    if file is None:
        return DeliveryKeys()
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Problems([Problem(str(file), 1, 1, "", f"交付密钥的文件不能读：{type(error).__name__}")]) from None
    keys: list[Key] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = LINE.fullmatch(text)
        if match is None:
            told = "应写作“来源 sha256:64 位十六进制 备注”（gateway delivery-key 会打印）"
            problems.append(Problem(str(file), number, 1, "", told))
        elif match[1] not in sources:
            told = did_you_mean(match[1], sources)
            problems.append(Problem(str(file), number, 1, match[1], "没有可以交付的这个来源", told))
        else:
            keys.append(Key(match[1], match[2], match[3] or ""))
    if problems:
        raise Problems(problems)
    return DeliveryKeys(tuple(keys))
