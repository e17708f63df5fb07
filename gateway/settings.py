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
    largest_body: int
    """GATEWAY_LARGEST_BODY: bytes of a request body."""
    most_tokens: int
    """GATEWAY_MOST_TOKENS: lexical tokens of a query."""
    plans_kept: int
    """GATEWAY_PLANS_KEPT: how many operation texts are remembered with their plans."""
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

    settings = Settings(
        database_url=str(read("GATEWAY_DATABASE_URL", str, f"sqlite:///{PROJECT / 'var' / 'gateway.db'}")),
        party_key_secret=Secret(str(read("GATEWAY_PARTY_KEY_SECRET", str, ""))),
        mappings=Path(str(read("GATEWAY_MAPPINGS", str, str(PROJECT / "mappings")))),
        specification=Path(str(read("GATEWAY_SPECIFICATION", str, str(PROJECT / "schema" / "spec")))),
        request_timeout=float(str(read("GATEWAY_REQUEST_TIMEOUT", float, 15.0))),
        allow_explain=bool(read("GATEWAY_ALLOW_EXPLAIN", bool, False)),
        largest_body=int(str(read("GATEWAY_LARGEST_BODY", int, 256 * 1024))),
        most_tokens=int(str(read("GATEWAY_MOST_TOKENS", int, 4000))),
        plans_kept=int(str(read("GATEWAY_PLANS_KEPT", int, 500))),
        secrets=environ,
    )
    if not str(settings.party_key_secret):
        problems.append(
            Problem("environment", 1, 1, "GATEWAY_PARTY_KEY_SECRET", "必须设置（用于当事人证件号码的哈希）")
        )
    for name, folder in (("GATEWAY_MAPPINGS", settings.mappings), ("GATEWAY_SPECIFICATION", settings.specification)):
        if not folder.is_dir():
            problems.append(Problem("environment", 1, 1, name, f"文件夹 {folder} 不存在"))
    known = {f"GATEWAY_{name.upper()}" for name in Settings.__dataclass_fields__ if name != "secrets"}
    for name in environ:
        if name.startswith("GATEWAY_") and name not in known:
            problems.append(Problem("environment", 1, 1, name, "没有这个设置", did_you_mean(name, known)))
    return settings, problems


def folders_only() -> dict[str, str]:
    """The environment for commands that only read what is written down: where it is, and no secret."""
    named = ("GATEWAY_MAPPINGS", "GATEWAY_SPECIFICATION")
    folders = {name: os.environ[name] for name in named if name in os.environ}  # noqa: TID251 - the one place
    return {**folders, "GATEWAY_PARTY_KEY_SECRET": "not used"}


_KINDS = {str: "文本", int: "整数", float: "数字", bool: "布尔值（true 或 false）"}
