"""Who may deliver, and how much at once: by keys of agencies, so many requests a minute, so many deliveries at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from starlette.requests import HTTPConnection

from gateway.context import Deliverer
from gateway.limits import BadRequest
from gateway.receiving.keys import DeliveryKeys, Key, Rates
from gateway.web.origin import check_host, check_origin
from gateway.web.problem import Refusal

LONGEST_KEY = 200


class DeliveryAccess:
    """Lets holders of keys in. One for the process."""

    def __init__(self, keys: DeliveryKeys, hosts: Sequence[str], rates: Rates, most: int) -> None:
        self.keys, self.hosts, self.rates, self.most = keys, hosts, rates, most
        self.in_flight = 0

    def deliverer(self, request: HTTPConnection) -> Deliverer | None:
        """Whose key a GraphQL request has; None where it has none of ours."""
        try:
            key = self.key_of(request) if self.keys.keys else None
        except Refusal:
            return None  # a token of another kind, or nobody's: who needs a key is told
        return Deliverer(key.source, key.digest) if key else None

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
        if not self.rates.take(key.digest):
            raise Refusal("TOO_MANY_REQUESTS", f"一个密钥每分钟至多 {self.rates.per_minute:g} 次请求")
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
