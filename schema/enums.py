"""GraphQL enums from code tables: the member names of the specification, code and Chinese meaning in each description."""

import enum
from collections.abc import Mapping
from typing import Any

import strawberry

from schema.registry import CodeTable, Registry


def make_enums(registry: Registry) -> dict[str, type[enum.Enum]]:
    """An enum for each code table that has a GraphQL type; its values are the member names."""
    return {name: _enum(table) for name, table in registry.codes.items() if table.type}


def _enum(table: CodeTable) -> type[enum.Enum]:
    members: Mapping[str, Any] = {
        member: strawberry.enum_value(member, description=f"{code.title}（代码 {code.code}）")
        for member, code in table.members.items()
    }
    made = enum.Enum(str(table.type), members)  # type: ignore[misc]
    return strawberry.enum(made, description=f"{table.title}（{table.id}）")
