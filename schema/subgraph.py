"""What makes a schema a subgraph of Apollo Federation: its own SDL, and its entities by any of their keys."""

from collections.abc import Callable, Mapping
from typing import Any

from strawberry.annotation import StrawberryAnnotation
from strawberry.federation.schema import FederationAny
from strawberry.types.field import StrawberryField
from strawberry.types.union import StrawberryUnion

from schema.making import answered_field, argument, make_field, make_object, many, read_field
from schema.names import ENTITIES_FIELD, SERVICE_FIELD


def service_field(subgraph: Callable[[], str]) -> StrawberryField:
    """`_service { sdl }`: `subgraph` prints the SDL."""
    sdl = read_field("sdl", str, "SDL，带联邦指令", lambda root: root)
    service = make_object("_Service", [sdl], "联邦子图的说明（Apollo Federation）")
    field = make_field("_service", service, "联邦子图的说明（Apollo Federation）", lambda: subgraph())
    field.graphql_name = SERVICE_FIELD
    return field


def entities_field(types: Mapping[str, type], resolve: Callable[..., Any] | None = None) -> StrawberryField:
    """`_entities`: all representations in one plan of the engine, unless `resolve` finds them."""
    members = tuple(types[name] for name in sorted(types))
    union: Any = StrawberryUnion(
        name="_Entity", type_annotations=tuple(StrawberryAnnotation(member) for member in members)
    )
    what = [argument("representations", list[FederationAny], "各实体的 __typename 与键", is_required=True)]
    kind, description = many(union | None), "联邦查询入口（Apollo Federation）"
    if resolve is None:
        return answered_field(ENTITIES_FIELD, kind, description, what)
    field = make_field("entities", kind, description, resolve, what)
    field.graphql_name = ENTITIES_FIELD
    return field
