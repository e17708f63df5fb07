"""Who may deliver, and how much at once: by keys of agencies, so many requests a minute, so many deliveries at a time."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from starlette.requests import HTTPConnection

from gateway.limits import BadRequest
from gateway.receiving.keys import DeliveryKeys, Key
from gateway.web.origin import check_host, check_origin
from gateway.web.problem import Refusal

LONGEST_KEY = 200


class DeliveryAccess:
    """Lets holders of keys in. One for the process."""

    def __init__(
        self,
        keys: DeliveryKeys,
        hosts: Sequence[str],
        per_minute: int,
        most: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keys, self.hosts, self.most, self.clock = keys, hosts, most, clock
        self.per_minute = float(per_minute)
        self.left: dict[str, tuple[float, float]] = {}
        """Hash of a key -> how many requests it may still make, as of when."""
        self.in_flight = 0

    def key_of(self, request: HTTPConnection) -> Key | None:
        """The key in `Authorization: Bearer …`; None when there is none. Raises Refusal for one that nobody has."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            return None
        found = self.keys.source_of(given.strip()) if scheme.lower() == "bearer" and len(given) <= LONGEST_KEY else None
        if found is None:
            raise Refusal("UNAUTHENTICATED", "请在请求头 Authorization: Bearer 中给出有效的交付密钥")
        return found

    def enter(self, request: HTTPConnection, source: str | None = None) -> Key:
        """The key, which is for this source, if it is said. Raises Refusal."""
        try:
            check_host(request.headers.get("host", ""), self.hosts)
            check_origin(request, ())
        except BadRequest as bad:
            raise Refusal(bad.code, str(bad)) from None
        if not self.keys.keys:
            raise Refusal("DELIVERY_CLOSED", "没有配置任何交付密钥")
        key = self.key_of(request)
        if key is None:
            raise Refusal("UNAUTHENTICATED", "请在请求头 Authorization: Bearer 中给出交付密钥")
        self._count(key)
        if source is not None and key.source != source:
            raise Refusal("FORBIDDEN", f"这个密钥只能交付到来源 {key.source}")
        return key

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among the deliveries, for as long as this is open. Raises Refusal when there is none."""
        if self.in_flight >= self.most:
            raise Refusal("OVERLOADED", f"已有 {self.most} 个交付正在进行")
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    def _count(self, key: Key) -> None:
        now = self.clock()
        left, before = self.left.get(key.digest, (self.per_minute, now))
        left = min(self.per_minute, left + (now - before) * self.per_minute / 60)
        if left < 1:
            self.left[key.digest] = (left, now)
            raise Refusal("TOO_MANY_REQUESTS", f"一个密钥每分钟至多 {self.per_minute:g} 次请求")
        self.left[key.digest] = (left - 1, now)
