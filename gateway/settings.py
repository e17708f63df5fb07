"""Every setting of the gateway, read once from the environment. This module and nothing else looks at it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from starlette.config import Config
from starlette.datastructures import Secret

from schema.problems import Problem, Problems, did_you_mean

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set; each field names its environment variable. Times are in seconds."""

    database_url: str = field(repr=False)
    """GATEWAY_DATABASE_URL: the native store, an SQLAlchemy URL; a SQLite file by default."""
    party_key_secret: Secret
    """GATEWAY_PARTY_KEY_SECRET: key of the HMAC that turns identity numbers into party keys; never change it."""
    mappings: Path
    """GATEWAY_MAPPINGS: the folder of source folders."""
    specification: Path
    """GATEWAY_SPECIFICATION: the folder of the data element specification."""
    request_timeout: float
    """GATEWAY_REQUEST_TIMEOUT: how long one GraphQL request may take, all waves together."""
    longest_timeout: float
    """GATEWAY_LONGEST_TIMEOUT: the most that a client may ask for by `X-Request-Timeout`."""
    most_in_flight: int
    """GATEWAY_MOST_IN_FLIGHT: requests that are answered at once, as long as this process keeps up with its own work."""
    latest_turn: float
    """GATEWAY_LATEST_TURN: how late the event loop or a thread may be before fewer requests are let in."""
    heavy_cost: int
    """GATEWAY_HEAVY_COST: from what cost on an operation is heavy; heavy ones may take a quarter of the places."""
    learning_share: float
    """GATEWAY_LEARNING_SHARE: the share of time that operations never seen before may take while others are answered."""
    most_learning: int
    """GATEWAY_MOST_LEARNING: operations never seen before that may wait to be prepared."""
    critical_header: str
    """GATEWAY_CRITICAL_HEADER: `name: value` by which the proxy in front marks what goes before the rest; none when empty."""
    drain_notice: float
    """GATEWAY_DRAIN_NOTICE: how long `/readyz` says 503 before connections are no longer taken."""
    drain_timeout: float
    """GATEWAY_DRAIN_TIMEOUT: how long requests in flight have to finish after SIGTERM."""
    metrics_port: int | None
    """GATEWAY_METRICS_PORT: where `/metrics` is, each worker at the next port; on the service's own port when empty."""
    otlp_endpoint: str
    """GATEWAY_OTLP_ENDPOINT: where traces are sent to (OTLP over HTTP); nowhere when empty."""
    head_timeout: float
    """GATEWAY_HEAD_TIMEOUT: how long the head of a request may take to arrive."""
    body_timeout: float
    """GATEWAY_BODY_TIMEOUT: how long the body of a request may take to arrive."""
    stall_timeout: float
    """GATEWAY_STALL_TIMEOUT: how long a reader of an answer may take none of it."""
    allow_explain: bool
    """GATEWAY_ALLOW_EXPLAIN: whether `X-Explain: 1` puts the plan into `extensions`."""
    federated_tracing: bool
    """GATEWAY_FEDERATED_TRACING: whether a router that asks for it (`ftv1`) is told the times of every field."""
    largest_body: int
    """GATEWAY_LARGEST_BODY: bytes of a request body."""
    most_tokens: int
    """GATEWAY_MOST_TOKENS: lexical tokens of a query."""
    plans_kept: int
    """GATEWAY_PLANS_KEPT: how many operation texts are remembered with their plans."""
    longest_query: int
    """GATEWAY_LONGEST_QUERY: characters of a query."""
    deepest_query: int
    """GATEWAY_DEEPEST_QUERY: levels of nested selections, fragments expanded."""
    most_fields: int
    """GATEWAY_MOST_FIELDS: fields of an operation, fragments expanded."""
    most_root_fields: int
    """GATEWAY_MOST_ROOT_FIELDS: fields of an operation at its root, fragments expanded."""
    most_aliases: int
    """GATEWAY_MOST_ALIASES: aliases of an operation, fragments expanded."""
    most_directives: int
    """GATEWAY_MOST_DIRECTIVES: directives of an operation, fragments expanded."""
    most_cost: int
    """GATEWAY_MOST_COST: what an operation may cost: entities it may reach, each weighed by the kind of its source."""
    role_costs: Mapping[str, int]
    """GATEWAY_ROLE_COSTS: what an operation of a role may cost, where that is not GATEWAY_MOST_COST: `partner=2000,…`."""
    largest_answer: int
    """GATEWAY_LARGEST_ANSWER: bytes of an answer before compression."""
    introspection: bool
    """GATEWAY_INTROSPECTION: whether the schema may be read over HTTP; without it no page, and no suggestions in errors."""
    persisted_kept: int
    """GATEWAY_PERSISTED_KEPT: how many automatically persisted queries are remembered."""
    trusted_documents: Path | None
    """GATEWAY_TRUSTED_DOCUMENTS: the file of registered documents (`gateway documents register`)."""
    only_trusted: bool
    """GATEWAY_ONLY_TRUSTED: whether registered documents alone are run."""
    allowed_hosts: tuple[str, ...]
    """GATEWAY_ALLOWED_HOSTS: names this service is asked under, with commas; any when empty."""
    allowed_origins: tuple[str, ...]
    """GATEWAY_ALLOWED_ORIGINS: origins of other sites whose pages may ask (CORS), with commas; none when empty."""
    feed_interval: float
    """GATEWAY_FEED_INTERVAL: how often the store is asked what changed, while somebody subscribes to it."""
    most_subscriptions: int
    """GATEWAY_MOST_SUBSCRIPTIONS: subscriptions at once, over WebSocket and SSE together."""
    subscription_queue: int
    """GATEWAY_SUBSCRIPTION_QUEUE: events that may wait for one subscriber; one who is slower is cut off."""
    most_sockets: int
    """GATEWAY_MOST_SOCKETS: WebSocket connections at once."""
    most_socket_operations: int
    """GATEWAY_MOST_SOCKET_OPERATIONS: operations at once on one WebSocket connection."""
    socket_init_timeout: float
    """GATEWAY_SOCKET_INIT_TIMEOUT: how long a new WebSocket connection may take to send `connection_init`."""
    heartbeat: float
    """GATEWAY_HEARTBEAT: how often a WebSocket is pinged, and a comment sent to readers of SSE."""
    sync_embedded: bool
    sync_heartbeat: float
    most_syncs: int
    redis_url: Secret
    """GATEWAY_REDIS_URL: the Redis that replicas share budgets and short answers over; each for itself when empty."""
    cache_entries: int
    """GATEWAY_CACHE_ENTRIES: answers of sources (one for each key) that are kept for as long as mappings allow; 0: none."""
    cache_bytes: int
    """GATEWAY_CACHE_BYTES: memory for these answers."""
    reused_bytes: int
    """GATEWAY_REUSED_BYTES: memory for answers that are given again when sources say the very same bytes; 0: none."""
    drop_folder: Path | None
    """GATEWAY_DROP_FOLDER: where agencies put files, a folder for each source; none when empty."""
    delivery_keys: Path | None
    """GATEWAY_DELIVERY_KEYS: the file of agencies' keys (their hashes); nobody may deliver over HTTP when empty."""
    delivery_folder: Path
    """GATEWAY_DELIVERY_FOLDER: where what is delivered over HTTP is kept until it is in the store."""
    largest_delivery: int
    """GATEWAY_LARGEST_DELIVERY: bytes of one delivery over HTTP, unpacked as well."""
    most_deliveries: int
    """GATEWAY_MOST_DELIVERIES: deliveries that are received or taken in at once."""
    deliveries_per_minute: int
    """GATEWAY_DELIVERIES_PER_MINUTE: requests to deliver that one key may make in a minute."""
    secrets: Mapping[str, str] = field(repr=False)
    """Everything a mapping may name as `env:NAME`."""


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings. Raises Problems naming every variable that is wrong."""
    settings, problems = look_at_settings(environment)
    if problems:
        raise Problems(problems)
    return settings


def look_at_settings(environment: Mapping[str, str] | None = None) -> tuple[Settings, list[Problem]]:
    """The settings, with the default in place of what is wrong, and every problem."""
    environ = dict(os.environ if environment is None else environment)  # noqa: TID251 - the one place
    config = Config(environ=environ)
    problems: list[Problem] = []

    def read(name: str, cast: type, default: object) -> object:
        try:
            return config(name, cast=cast, default=default)
        except ValueError:
            problems.append(Problem("environment", 1, 1, name, f"“{environ.get(name)}” 不是合法的{_KINDS[cast]}"))
            return default

    def count(name: str, default: int, least: int = 1) -> int:
        number = int(str(read(name, int, default)))
        if number < least:
            problems.append(Problem("environment", 1, 1, name, f"应至少为 {least}，实为 {number}"))
        return max(number, least)

    def seconds(name: str, default: float, least: float = 0.001) -> float:
        number = float(str(read(name, float, default)))
        if not least <= number <= 3600:
            problems.append(Problem("environment", 1, 1, name, f"应为 {least:g} 至 3600 秒，实为 {number:g}"))
        return number if least <= number <= 3600 else default

    def share(name: str, default: float) -> float:
        number = float(str(read(name, float, default)))
        if not 0 < number <= 1:
            problems.append(Problem("environment", 1, 1, name, f"应大于 0 且不超过 1，实为 {number:g}"))
        return number if 0 < number <= 1 else default

    def critical(name: str) -> str:
        said, _, value = str(read(name, str, "")).partition(":")
        if bool(said.strip()) != bool(value.strip()) or not (said + value).isascii():
            problems.append(Problem("environment", 1, 1, name, "应写作“名称: 值”，只用 ASCII 字符"))
        return f"{said.strip().lower()}: {value.strip()}" if said.strip() and value.strip() else ""

    def several(name: str) -> tuple[str, ...]:
        return tuple(entry.strip().lower() for entry in str(read(name, str, "")).split(",") if entry.strip())

    def costs(name: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for entry in several(name):
            role, _, cost = entry.partition("=")
            if not (role and cost.isascii() and cost.isdigit() and int(cost) > 0):
                problems.append(Problem("environment", 1, 1, name, f"“{entry}” 应写成 角色=代价（正整数）"))
                continue
            found[role.strip()] = int(cost)
        return found

    def path(name: str) -> Path | None:
        return Path(text) if (text := str(read(name, str, ""))) else None

    trusted = str(read("GATEWAY_TRUSTED_DOCUMENTS", str, ""))
    settings = Settings(
        database_url=str(read("GATEWAY_DATABASE_URL", str, f"sqlite:///{PROJECT / 'var' / 'gateway.db'}")),
        party_key_secret=Secret(str(read("GATEWAY_PARTY_KEY_SECRET", str, ""))),
        mappings=Path(str(read("GATEWAY_MAPPINGS", str, str(PROJECT / "mappings")))),
        specification=Path(str(read("GATEWAY_SPECIFICATION", str, str(PROJECT / "schema" / "spec")))),
        request_timeout=seconds("GATEWAY_REQUEST_TIMEOUT", 15.0),
        longest_timeout=seconds("GATEWAY_LONGEST_TIMEOUT", 60.0),
        most_in_flight=count("GATEWAY_MOST_IN_FLIGHT", 1000),
        latest_turn=seconds("GATEWAY_LATEST_TURN", 0.01),
        heavy_cost=count("GATEWAY_HEAVY_COST", 2000),
        learning_share=share("GATEWAY_LEARNING_SHARE", 0.2),
        most_learning=count("GATEWAY_MOST_LEARNING", 50),
        critical_header=critical("GATEWAY_CRITICAL_HEADER"),
        drain_notice=seconds("GATEWAY_DRAIN_NOTICE", 0.0, least=0.0),
        drain_timeout=seconds("GATEWAY_DRAIN_TIMEOUT", 20.0),
        metrics_port=count("GATEWAY_METRICS_PORT", 1) if environ.get("GATEWAY_METRICS_PORT") else None,
        otlp_endpoint=str(read("GATEWAY_OTLP_ENDPOINT", str, "")),
        head_timeout=seconds("GATEWAY_HEAD_TIMEOUT", 10.0),
        body_timeout=seconds("GATEWAY_BODY_TIMEOUT", 10.0),
        stall_timeout=seconds("GATEWAY_STALL_TIMEOUT", 10.0),
        allow_explain=bool(read("GATEWAY_ALLOW_EXPLAIN", bool, False)),
        federated_tracing=bool(read("GATEWAY_FEDERATED_TRACING", bool, False)),
        largest_body=count("GATEWAY_LARGEST_BODY", 256 * 1024),
        most_tokens=count("GATEWAY_MOST_TOKENS", 1200),
        plans_kept=count("GATEWAY_PLANS_KEPT", 500),
        longest_query=count("GATEWAY_LONGEST_QUERY", 16 * 1024),
        deepest_query=count("GATEWAY_DEEPEST_QUERY", 20),
        most_fields=count("GATEWAY_MOST_FIELDS", 2000),
        most_root_fields=count("GATEWAY_MOST_ROOT_FIELDS", 50),
        most_aliases=count("GATEWAY_MOST_ALIASES", 100),
        most_directives=count("GATEWAY_MOST_DIRECTIVES", 50),
        most_cost=count("GATEWAY_MOST_COST", 20_000),
        role_costs=costs("GATEWAY_ROLE_COSTS"),
        largest_answer=count("GATEWAY_LARGEST_ANSWER", 8 * 1024 * 1024),
        introspection=bool(read("GATEWAY_INTROSPECTION", bool, False)),
        persisted_kept=count("GATEWAY_PERSISTED_KEPT", 1000),
        trusted_documents=Path(trusted) if trusted else None,
        only_trusted=bool(read("GATEWAY_ONLY_TRUSTED", bool, False)),
        allowed_hosts=several("GATEWAY_ALLOWED_HOSTS"),
        allowed_origins=several("GATEWAY_ALLOWED_ORIGINS"),
        feed_interval=seconds("GATEWAY_FEED_INTERVAL", 0.5, least=0.01),
        most_subscriptions=count("GATEWAY_MOST_SUBSCRIPTIONS", 1000),
        subscription_queue=count("GATEWAY_SUBSCRIPTION_QUEUE", 1000),
        most_sockets=count("GATEWAY_MOST_SOCKETS", 1000),
        most_socket_operations=count("GATEWAY_MOST_SOCKET_OPERATIONS", 50),
        socket_init_timeout=seconds("GATEWAY_SOCKET_INIT_TIMEOUT", 10.0),
        heartbeat=seconds("GATEWAY_HEARTBEAT", 15.0, least=0.01),
        sync_embedded=bool(read("GATEWAY_SYNC_EMBEDDED", bool, True)),
        sync_heartbeat=seconds("GATEWAY_SYNC_HEARTBEAT", 10.0, least=0.05),
        most_syncs=count("GATEWAY_MOST_SYNCS", 4),
        redis_url=Secret(str(read("GATEWAY_REDIS_URL", str, ""))),
        cache_entries=count("GATEWAY_CACHE_ENTRIES", 10_000, least=0),
        cache_bytes=count("GATEWAY_CACHE_BYTES", 64 * 1024 * 1024),
        reused_bytes=count("GATEWAY_REUSED_BYTES", 64 * 1024 * 1024, least=0),
        drop_folder=path("GATEWAY_DROP_FOLDER"),
        delivery_keys=path("GATEWAY_DELIVERY_KEYS"),
        delivery_folder=path("GATEWAY_DELIVERY_FOLDER") or PROJECT / "var" / "deliveries",
        largest_delivery=count("GATEWAY_LARGEST_DELIVERY", 512 * 1024 * 1024),
        most_deliveries=count("GATEWAY_MOST_DELIVERIES", 8),
        deliveries_per_minute=count("GATEWAY_DELIVERIES_PER_MINUTE", 120),
        secrets=environ,
    )
    if str(settings.redis_url) and not str(settings.redis_url).startswith(("redis://", "rediss://", "unix://")):
        told = "应为 redis://、rediss:// 或 unix:// 开头的地址"
        problems.append(Problem("environment", 1, 1, "GATEWAY_REDIS_URL", told))
    if not str(settings.party_key_secret):
        problems.append(
            Problem("environment", 1, 1, "GATEWAY_PARTY_KEY_SECRET", "必须设置（用于当事人证件号码的哈希）")
        )
    for name, folder in (("GATEWAY_MAPPINGS", settings.mappings), ("GATEWAY_SPECIFICATION", settings.specification)):
        if not folder.is_dir():
            problems.append(Problem("environment", 1, 1, name, f"文件夹 {folder} 不存在"))
    if settings.only_trusted and settings.trusted_documents is None:
        problems.append(
            Problem("environment", 1, 1, "GATEWAY_TRUSTED_DOCUMENTS", "GATEWAY_ONLY_TRUSTED 为真时必须设置")
        )
    if settings.drop_folder is not None and not settings.drop_folder.is_dir():
        told = f"文件夹 {settings.drop_folder} 不存在"
        problems.append(Problem("environment", 1, 1, "GATEWAY_DROP_FOLDER", told))
    known = {f"GATEWAY_{name.upper()}" for name in Settings.__dataclass_fields__ if name != "secrets"}
    for name in environ:
        if name.startswith("GATEWAY_") and name not in known:
            problems.append(Problem("environment", 1, 1, name, "没有这个设置", did_you_mean(name, known)))
    return settings, problems


def folders_only() -> dict[str, str]:
    """The environment for commands that only read what is written down: our settings, and no secret and no store."""
    withheld = ("GATEWAY_PARTY_KEY_SECRET", "GATEWAY_DATABASE_URL", "GATEWAY_REDIS_URL")
    environ = os.environ  # noqa: TID251 - the one place
    ours = {name: environ[name] for name in environ if name.startswith("GATEWAY_") and name not in withheld}
    return {**ours, "GATEWAY_PARTY_KEY_SECRET": "not used"}


_KINDS = {str: "文本", int: "整数", float: "数字", bool: "布尔值（true 或 false）"}
