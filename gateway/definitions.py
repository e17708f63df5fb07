"""What is written down, and read and proven before anything is opened: specification, mappings, settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from adapters.mapping.load import load_mappings
from adapters.mapping.model import SourceMapping
from adapters.mapping.truth import NOTHING_SAID, Truth, load_truth
from adapters.secrets import names_in
from gateway.receiving.keys import read_keys
from gateway.settings import Settings, look_at_settings
from schema.load import load_registry
from schema.problems import Problem, Problems
from schema.registry import Registry

if TYPE_CHECKING:
    import strawberry


def _build(registry: Registry) -> "strawberry.Schema":
    from schema.build import build_schema

    return build_schema(registry)


@dataclass(frozen=True)
class Definitions:
    """What is known without opening anything: the specification, the mappings, whose word counts, and the schema, which is made
    when it is first asked for: data return does without it, and without what makes it."""

    registry: Registry
    mappings: dict[str, SourceMapping]
    truth: Truth = NOTHING_SAID
    build: "Callable[[Registry], strawberry.Schema]" = _build

    @cached_property
    def schema(self) -> "strawberry.Schema":
        """What is asked by."""
        return self.build(self.registry)


def load_definitions(settings: Settings) -> Definitions:
    """Read and check everything that is written down. Raises Problems with every mistake at once."""
    registry = load_registry(settings.specification)
    mappings = load_mappings(registry, settings.mappings)
    truth = load_truth(registry, mappings, settings.mappings)
    return Definitions(registry, mappings, truth)


def prove(environment: Mapping[str, str] | None = None, with_secrets: bool = True) -> tuple[Settings, Definitions]:
    """Settings and definitions, proven without opening anything; `with_secrets`: also that every `env:NAME` is set.

    Raises Problems with everything that is wrong with any of them.
    """
    settings, problems = look_at_settings(environment)
    definitions: Definitions | None = None
    try:
        definitions = load_definitions(settings)
    except Problems as error:
        problems.extend(error.problems)
    try:
        if definitions:
            read_keys(settings.delivery_keys, delivered_sources(definitions.mappings))
    except Problems as error:
        problems.extend(error.problems)
    if definitions and with_secrets:
        problems += missing_secrets(definitions, settings)
    if problems or definitions is None:
        raise Problems(problems)
    return settings, definitions


def delivered_sources(mappings: Mapping[str, SourceMapping]) -> set[str]:
    """The sources whose owners may deliver."""
    return {name for name, mapping in mappings.items() if any(one.deliver for one in mapping.operations.values())}


def missing_secrets(definitions: Definitions, settings: Settings) -> list[Problem]:
    """The variables that mappings name and the environment does not have."""
    problems = []
    for mapping in definitions.mappings.values():
        file = f"{settings.mappings.name}/{mapping.name}/mapping.yaml"
        absent = [name for name in names_in(mapping) if not settings.secrets.get(name)]
        problems += [Problem(file, 1, 1, f"env:{name}", "环境变量没有设置") for name in absent]
    return problems
