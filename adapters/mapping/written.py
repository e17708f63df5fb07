"""The mapping language as it may be written. Its words are closed: any other word is a problem with a suggestion.

Every scalar of the YAML file is text; these models give it its type. `mappings/mapping.schema.json` is generated from here.
"""

from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from adapters.mapping.changes_words import Changes
from adapters.mapping.delivered import Deliver, FileConnect, Layout
from adapters.mapping.limits import Cache, Connect, Duration, Hedge, Written
from adapters.mapping.words import FromEnv, Is, Name, Size, Texts, Uscc, listed

PLACEHOLDERS = ("$keys", "$key", "$since", "$until", "$page", "$size", "$offset", "$cursor", "$order")
Operator = Literal["eq", "in", "gte", "lte", "prefix", "contains"]


def _network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError:
        raise ValueError(f"“{text}” 不是网段（例：10.20.0.0/16）") from None
    return text


def _filter_form(value: object) -> object:
    return value if isinstance(value, dict) else {"operators": value}


def _path_form(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


Networks = Annotated[list[Annotated[str, AfterValidator(_network)]], BeforeValidator(listed)]
Waived = Annotated[list[Literal["cancellation"]], BeforeValidator(listed)]
Words = Literal["percent_decode", "base64", "gunzip", "utf8", "gb18030", "xml_unescape", "xml", "json"]
Encodings = Literal["xml", "json", "percent_encode", "base64"]


class Outcome(Written):
    """What the source's own success code means. A code in none of the lists is a rejection; `exhausted`: today's quota
    is used up, there is a new one at midnight in China.
    """

    path: str
    ok: Texts
    empty: Texts = []
    retry: Texts = []
    throttled: Texts = []
    exhausted: Texts = []
    denied: Texts = []
    message: str | None = None


class Faults(Written):
    """What SOAP fault codes mean; the same words as `outcome`."""

    empty: Texts = []
    retry: Texts = []
    throttled: Texts = []
    denied: Texts = []


class NoAuth(Written):
    """No credentials."""

    kind: Literal["none"] = "none"


class BearerAuth(Written):
    """`Authorization: Bearer …`."""

    kind: Literal["bearer"]
    token: FromEnv


class BasicAuth(Written):
    """HTTP basic authentication."""

    kind: Literal["basic"]
    username: FromEnv
    password: FromEnv


class HeaderAuth(Written):
    """A key in a header of the source's own."""

    kind: Literal["header"]
    name: str
    value: FromEnv


class WsseAuth(Written):
    """WS-Security UsernameToken; `digest` sends PasswordDigest with nonce and time stamp instead of the password."""

    kind: Literal["wsse"]
    username: FromEnv
    password: FromEnv
    digest: bool = True


class NationalSigning(Written):
    """国家数据共享交换平台: four `gjgxjhpt_*` headers, HMAC-SHA256, key refreshed in two steps (domain.md §4.1)."""

    scheme: Literal["national"]
    rid: FromEnv
    appkey: FromEnv
    refresh: str


class ZhejiangSigning(Written):
    """省级平台（浙江式）: MD5 sign, refresh secret (48 h), request secret (15 min) (domain.md §4.2)."""

    scheme: Literal["zhejiang"]
    app_key: FromEnv
    app_secret: FromEnv
    refresh_by_key: str
    refresh_by_secret: str


HttpAuth = Annotated[NoAuth | BearerAuth | BasicAuth | HeaderAuth, Field(discriminator="kind")]
SoapAuth = Annotated[NoAuth | BasicAuth | WsseAuth, Field(discriminator="kind")]
Signing = Annotated[NationalSigning | ZhejiangSigning, Field(discriminator="scheme")]


class TlsWords(Written):
    """PEM files of this installation: authorities (only these count), our certificate, its key; and the oldest version."""

    ca: FromEnv | None = None
    certificate: FromEnv | None = None
    key: FromEnv | None = None
    minimum: Literal["1.2", "1.3"] = "1.2"


class HttpConnect(Connect):
    """What every source over HTTP has: which client, whom it trusts, by which proxy, how large an answer, and where the
    host may be. `waives` names what the chosen client cannot keep.
    """

    client: Literal["aiohttp", "pyreqwest"] = "aiohttp"
    waives: Waived = []
    tls: TlsWords = TlsWords()
    proxy: FromEnv | None = None
    max_bytes: Size = 16 * 1024 * 1024
    addresses: Networks = []


class RestConnect(HttpConnect):
    """A REST system; `charset` is what it sends when it does not say."""

    kind: Literal["rest"]
    base_url: FromEnv
    auth: HttpAuth = NoAuth()
    charset: str = "utf-8"
    answer: list[Words] = ["json"]
    outcome: Outcome | None = None


class PlatformConnect(HttpConnect):
    """A signed data-sharing platform."""

    kind: Literal["platform"]
    base_url: FromEnv
    signing: Signing
    charset: str = "utf-8"
    answer: list[Words] = ["json"]
    outcome: Outcome | None = None


class SoapConnect(HttpConnect):
    """A SOAP service; the WSDL is vendored beside the mapping, `answer` unwraps a text that carries the real answer.

    `wsdl_digest` pins what was reviewed: `gateway check --live` tells the digest of a WSDL that differs.
    """

    kind: Literal["soap"]
    wsdl: str
    wsdl_digest: str | None = None
    binding: str
    endpoint: FromEnv
    auth: SoapAuth = NoAuth()
    answer: list[Words] = []
    outcome: Outcome | None = None
    faults: Faults = Faults()


class SqlConnect(Connect):
    """A database, read only. `url` names driver, host and credentials in SQLAlchemy's form.

    An account that could write is refused; `may_write` waives that where the source cannot give another.
    """

    kind: Literal["sql"]
    url: FromEnv
    may_write: bool = False


class Request(Written):
    """How to ask; which words apply depends on the kind (`mapping.load` checks it).

    `query`, `json`, `form` and `message` may hold the placeholders `$keys $key $since $until $page $size $offset $cursor
    $order`, those of filters (`$filed_date.gte`), `env:NAME`,
    `{join: $keys, with: ","}`, and `{text: [xml, percent_encode], of: …}` for a document carried as text.
    `sid` is the service code of the national platform.
    """

    method: Literal["GET", "POST"] | None = None
    path: str | None = None
    query: dict[str, Any] = {}
    json_body: dict[str, Any] | list[Any] | None = Field(default=None, alias="json")
    form: dict[str, Any] | None = None
    operation: str | None = None
    message: dict[str, Any] | None = None
    table: str | None = None
    sid: str | None = None


class Lookup(Written):
    """Keys in, records out, in any order; `by` is an element of the entity, or `relation.element` of a related one."""

    entity: str
    by: str
    batch: int = Field(default=1, ge=1, le=5000)
    many: bool = False
    deleted: Is | None = None


class Filtered(Written):
    """Which comparisons of one element the source takes; `format` when it wants dates written differently than it has them."""

    operators: Annotated[list[Operator], BeforeValidator(listed)]
    format: str | None = None


class Ordered(Written):
    """How the source is told to order by an element, forwards and backwards; a database needs no words for it."""

    asc: str | None = None
    desc: str | None = None


class Search(Written):
    """Filters in, pages of records out. What the source does not filter is filtered by the gateway.

    `requires` are elements that a list must be narrowed by before the source may be asked; `pages` is how many pages one
    list may walk.
    """

    entity: str
    filters: dict[Name, Annotated[Filtered, BeforeValidator(_filter_form)]] = {}
    requires: Texts = []
    order: dict[Name, Ordered] = {}
    pages: int = Field(default=20, ge=1, le=1000)
    deleted: Is | None = None


class Paging(Written):
    """Pages of `size` records, counted from `first`; without `total` a short page is the last.

    `next` is where an answer says what to ask for next (`$cursor`), when pages are not counted.
    """

    size: int = Field(ge=1, le=10000)
    first: int = Field(default=1, ge=0, le=1)
    total: str | None = None
    next: str | None = None


class Latest(Written):
    """Several rows may tell of one record: rows with equal `of` are one, the last in the order of `by` is what holds."""

    of: str
    by: Texts


class Operation(Written):
    """Something the source can do: a `lookup`, `changes` or a `search`; or what its owner delivers of itself (`deliver`), which
    needs no `request` and, in files, has a `layout`. No call is sent with less than `at_least` left.
    """

    request: Request = Request()
    records: str = ""
    page: Paging | None = None
    latest: Latest | None = None
    lookup: Lookup | None = None
    changes: Changes | None = None
    at_least: Duration | None = None
    cache: Cache | None = None
    hedge: Hedge | None = None
    search: Search | None = None
    deliver: Deliver | None = None
    layout: Layout | None = None


class FieldForm(Written):
    """Where one element or relation comes from, and how it is written there."""

    path: str | None = None
    value: str | None = None
    as_: Literal["text", "integer", "date", "datetime", "money", "boolean", "json", "uscc", "id_no"] | None = Field(
        default=None, alias="as"
    )
    format: str | None = None
    zone: str | None = None
    unit: Literal["元", "万元", "分"] | None = None
    yes: Texts | None = None
    no: Texts | None = None
    codes: str | None = None
    blank: Texts = []
    split: Texts | None = None
    ref: str | None = None
    entity: str | None = None


class EntityForm(Written):
    """How records become one entity. `key`: the first of these elements that is present identifies the record.

    `holds`: the source has only entities with one of these values in these elements, or, `all`, every one there is.
    `drift`: what happens when a record has a field that no record had before: it is kept and told of (`evolve`), the stream
    stops (`freeze`), or such records are set aside (`quarantine`).
    """

    key: Texts
    drift: Literal["evolve", "freeze", "quarantine"] = "evolve"
    holds: Literal["all"] | dict[Name, Texts] = {}
    fields: dict[Name, Annotated[FieldForm, BeforeValidator(_path_form)]]


class MappingForm(Written):
    """A file `mappings/<source>/mapping.yaml`."""

    source: Name
    title: str
    agency: Uscc
    owner: str
    connect: Annotated[
        RestConnect | PlatformConnect | SoapConnect | SqlConnect | FileConnect, Field(discriminator="kind")
    ]
    operations: dict[Name, Operation]
    entities: dict[str, EntityForm]
    codes: dict[Name, dict[str, str]] = {}
