"""How two families of data-sharing platforms hand out secrets and sign with them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapters.charset import charset_in, to_text
from adapters.errors import SourceContractBroken, SourceDenied, SourceRejected
from adapters.http import HttpAnswer, HttpClient, raise_for_status
from adapters.json_tree import parse_json
from adapters.keys import Clock, Key, KeySlot
from adapters.mapping.paths import parse_path
from adapters.mapping.written import NationalSigning, Outcome, PlatformConnect, Request, ZhejiangSigning
from adapters.outcome import Judge, Verdict, judge_for, raise_for, text_at
from adapters.request import query_string
from adapters.rest import address
from adapters.secrets import Secrets, resolve
from adapters.signing import national_sign, open_secret, zhejiang_sign

NATIONAL_LIFETIME, NATIONAL_MARGIN = 600.0, 60.0
REQUEST_LIFETIME, REFRESH_LIFETIME, ZHEJIANG_MARGIN = 900.0, 48 * 3600.0, 180.0
"""Seconds. Lifetimes count only where the platform does not say when a secret ends."""

NATIONAL_OUTCOME = Outcome(path="code", ok=["0"], denied=["E-106"], message="message")
ZHEJIANG_OUTCOME = Outcome(path="code", ok=["00"], message="msg")
NATIONAL_FAILURE = "-1"
"""调用失败: what the national platform says for an expired secret, too."""

NATIONAL_SECRET, NATIONAL_END = map(parse_path, ("data.secret", "data.secretEndTime"))
REQUEST_SECRET, REQUEST_END, REFRESH_SECRET, REFRESH_END = map(
    parse_path,
    ("datas.requestSecret", "datas.requestSecretEndTime", "datas.refreshSecret", "datas.refreshSecretEndTime"),
)
"""[K] domain.md §4.2 gives `datas` but not the names within; these four are not verified."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a signature adds to a request."""

    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


class Scheme(Protocol):
    """How one family of platforms signs."""

    clock: Clock

    def slot(self, request: Request) -> KeySlot:
        """Where the key for this request is kept."""
        ...

    def sign(self, request: Request, key: Key) -> Signature:
        """The signature of a request that is sent now."""
        ...

    def is_refusal(self, verdict: Verdict) -> bool:
        """Whether the platform may have refused the signature."""
        ...


class KeyAsker:
    """Asks a platform for a secret."""

    def __init__(self, base: str, connect: PlatformConnect, http: HttpClient, clock: Clock) -> None:
        self.base, self.connect, self.http, self.clock = base, connect, http, clock

    async def ask(
        self, method: str, path: str, sign: Callable[[], Signature], outcome: Outcome, deadline: float
    ) -> Any:
        """The tree of a successful answer. A refusal is tried again once if it taught us the platform's time.

        Raises SourceDenied for a final refusal, or what else went wrong.
        """
        mapped = self.connect.outcome
        judge = judge_for(mapped if mapped and mapped.path == outcome.path else outcome)
        answer, tree, verdict = await self._once(method, path, sign(), judge, deadline)
        if verdict.kind in ("denied", "rejected") and self.clock.learn(answer.headers.get("date")):
            answer, tree, verdict = await self._once(method, path, sign(), judge, deadline)
        try:
            raise_for(verdict)
        except SourceRejected as error:
            raise SourceDenied(f"未能取得密钥：{error.detail}") from None
        return tree

    async def _once(
        self, method: str, path: str, signature: Signature, judge: Judge, deadline: float
    ) -> tuple[HttpAnswer, Any, Verdict]:
        query = query_string(signature.query)
        url = address(self.base, path) + (f"?{query}" if query else "")
        body = b"" if method == "POST" else None
        answer = await self.http.send(method, url, signature.headers, body, deadline)
        if answer.status in (401, 403):
            return answer, None, Verdict("denied", f"HTTP {answer.status}")
        raise_for_status(answer)
        tree = parse_json(to_text(answer.body, charset_in(answer.headers.get("content-type"))))
        return answer, tree, judge(tree)


class National:
    """国家数据共享交换平台 (domain.md §4.1): four headers; a secret for each service, sealed with the appkey."""

    def __init__(self, signing: NationalSigning, secrets: Secrets, asker: KeyAsker) -> None:
        self.clock, self._asker, self._refresh = asker.clock, asker, signing.refresh
        self._rid, self._appkey = resolve(signing.rid, secrets), resolve(signing.appkey, secrets)
        self._slots: dict[str, KeySlot] = {}

    def slot(self, request: Request) -> KeySlot:
        """Each service has its own secret."""
        sid = request.sid or ""
        if sid not in self._slots:
            self._slots[sid] = KeySlot(self.clock, lambda deadline: self._fetch(sid, deadline))
        return self._slots[sid]

    def sign(self, request: Request, key: Key) -> Signature:
        """The four headers."""
        return self._signature(request.sid or "", key.secret)

    def is_refusal(self, verdict: Verdict) -> bool:
        """Denied, or 调用失败, which does not say why."""
        return verdict.kind == "denied" or (verdict.kind == "rejected" and verdict.code == NATIONAL_FAILURE)

    def _signature(self, sid: str, key: str) -> Signature:
        rtime = self.clock.milliseconds()
        sign = national_sign(key, sid, self._rid, rtime)
        values = {"rid": self._rid, "sid": sid, "rtime": rtime, "sign": sign}
        return Signature({f"gjgxjhpt_{name}": value for name, value in values.items()})

    async def _fetch(self, sid: str, deadline: float) -> Key:
        tree = await self._asker.ask(
            "POST", self._refresh, lambda: self._signature(sid, self._appkey), NATIONAL_OUTCOME, deadline
        )
        try:
            secret = open_secret(text_at(tree, NATIONAL_SECRET) or "", self._appkey)
        except ValueError as error:
            raise SourceContractBroken(str(error)) from None
        return self.clock.key(secret, text_at(tree, NATIONAL_END), NATIONAL_LIFETIME, NATIONAL_MARGIN)


class Zhejiang:
    """省级平台（浙江式） (domain.md §4.2): app secret -> refresh secret -> request secret, MD5 in the query."""

    def __init__(self, signing: ZhejiangSigning, secrets: Secrets, asker: KeyAsker) -> None:
        self.clock, self._asker, self._paths = asker.clock, asker, signing
        self._app_key, self._app_secret = resolve(signing.app_key, secrets), resolve(signing.app_secret, secrets)
        self._slot = KeySlot(self.clock, self._fetch)
        self._refresh: Key | None = None

    def slot(self, request: Request) -> KeySlot:  # noqa: ARG002
        """One request secret for all services."""
        return self._slot

    def sign(self, request: Request, key: Key) -> Signature:  # noqa: ARG002
        """Three query parameters."""
        return self._signature(key.secret)

    def is_refusal(self, verdict: Verdict) -> bool:
        """The mapping says which codes deny."""
        return verdict.kind == "denied"

    def _signature(self, secret: str) -> Signature:
        at = self.clock.milliseconds()
        return Signature(
            {}, {"appKey": self._app_key, "sign": zhejiang_sign(self._app_key, secret, at), "requestTime": at}
        )

    async def _fetch(self, deadline: float) -> Key:
        """A request secret, by the refresh secret if that still counts, else from the app secret on."""
        if self._refresh is not None and self._refresh.good_until > self.clock.now():
            try:
                return self._given(await self._ask(self._paths.refresh_by_secret, self._refresh.secret, deadline))
            except SourceDenied:
                self._refresh = None
        key = await self._ask(self._paths.refresh_by_key, self._app_secret, deadline)
        if key is None and self._refresh is not None:
            key = await self._ask(self._paths.refresh_by_secret, self._refresh.secret, deadline)
        return self._given(key)

    async def _ask(self, path: str, secret: str, deadline: float) -> Key | None:
        """Keeps the refresh secret of an answer, and returns its request secret, if it has one."""
        tree = await self._asker.ask("GET", path, lambda: self._signature(secret), ZHEJIANG_OUTCOME, deadline)
        if refresh := text_at(tree, REFRESH_SECRET):
            self._refresh = self.clock.key(refresh, text_at(tree, REFRESH_END), REFRESH_LIFETIME, ZHEJIANG_MARGIN)
        request = text_at(tree, REQUEST_SECRET)
        end = text_at(tree, REQUEST_END)
        return self.clock.key(request, end, REQUEST_LIFETIME, ZHEJIANG_MARGIN) if request else None

    def _given(self, key: Key | None) -> Key:
        if key is None:
            raise SourceContractBroken(f"答复中没有 {REQUEST_SECRET.text}")
        return key
