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

    def count(name: str, default: int) -> int:
        number = int(str(read(name, int, default)))
        if number < 1:
            problems.append(Problem("environment", 1, 1, name, f"应至少为 1，实为 {number}"))
        return max(number, 1)

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

    trusted = str(read("GATEWAY_TRUSTED_DOCUMENTS", str, ""))
    settings = Settings(
        database_url=str(read("GATEWAY_DATABASE_URL", str, f"sqlite:///{PROJECT / 'var' / 'gateway.db'}")),
        party_key_secret=Secret(str(read("GATEWAY_PARTY_KEY_SECRET", str, ""))),
        mappings=Path(str(read("GATEWAY_MAPPINGS", str, str(PROJECT / "mappings")))),
        specification=Path(str(read("GATEWAY_SPECIFICATION", str, str(PROJECT / "schema" / "spec")))),
        request_timeout=float(str(read("GATEWAY_REQUEST_TIMEOUT", float, 15.0))),
        allow_explain=bool(read("GATEWAY_ALLOW_EXPLAIN", bool, False)),
        federated_tracing=bool(read("GATEWAY_FEDERATED_TRACING", bool, False)),
        largest_body=count("GATEWAY_LARGEST_BODY", 256 * 1024),
        most_tokens=count("GATEWAY_MOST_TOKENS", 4000),
        plans_kept=count("GATEWAY_PLANS_KEPT", 500),
        longest_query=count("GATEWAY_LONGEST_QUERY", 32 * 1024),
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
        secrets=environ,
    )
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
    known = {f"GATEWAY_{name.upper()}" for name in Settings.__dataclass_fields__ if name != "secrets"}
    for name in environ:
        if name.startswith("GATEWAY_") and name not in known:
            problems.append(Problem("environment", 1, 1, name, "没有这个设置", did_you_mean(name, known)))
    return settings, problems


def folders_only() -> dict[str, str]:
    """The environment for commands that only read what is written down: our settings, and no secret and no store."""
    withheld = ("GATEWAY_PARTY_KEY_SECRET", "GATEWAY_DATABASE_URL")
    environ = os.environ  # noqa: TID251 - the one place
    ours = {name: environ[name] for name in environ if name.startswith("GATEWAY_") and name not in withheld}
    return {**ours, "GATEWAY_PARTY_KEY_SECRET": "not used"}


_KINDS = {str: "文本", int: "整数", float: "数字", bool: "布尔值（true 或 false）"}
