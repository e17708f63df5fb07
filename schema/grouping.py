"""What entities may be counted in groups by, and what may be measured of a group: by codes, divisions, agencies and months."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from schema.registry import Element, Entity, Registry

LARGEST_GROUPING = 1000
MOST_LEVELS = 4
Unit = Literal["value", "city", "month", "year"]
Function = Literal["sum", "min", "max"]
UNITS: Mapping[Unit, str] = {"value": "", "city": "所在设区市", "month": "的月份", "year": "的年份"}
FUNCTIONS: Mapping[Function, str] = {"sum": "合计值", "min": "最小值", "max": "最大值"}


@dataclass(frozen=True, slots=True)
class Grouping:
    """One level of grouping: the value of an element, the month or year of a date, the city of a division."""

    element: str
    unit: Unit

    @property
    def name(self) -> str:
        """Its snake_case name, as a field of a group's key: `filed_date_month`."""
        return self.element if self.unit == "value" else f"{self.element}_{self.unit}"


def groupings(registry: Registry, entity: Entity) -> dict[str, Grouping]:
    """What an entity may be grouped by, by the name of the enum's member."""
    found = (g for e in registry.filterable(entity.name).values() for g in _groupings(e))
    return {grouping.name.upper(): grouping for grouping in found}


def measures(registry: Registry, entity: Entity, function: Function) -> dict[str, Element]:
    """The elements a function may be applied to: sums of money and numbers, extremes of these and of dates."""
    kinds = ("money", "number") if function == "sum" else ("money", "number", "date", "datetime")
    found = registry.filterable(entity.name).values()
    return {e.name: e for e in found if e.format.kind in kinds and e.codes is None}


def _groupings(element: Element) -> list[Grouping]:
    name = element.name
    if element.codes == "division":
        return [Grouping(name, "value"), Grouping(name, "city")]
    if element.codes or element.refers or element.format.kind == "boolean":
        return [Grouping(name, "value")]
    if element.format.kind in ("date", "datetime"):
        return [Grouping(name, "month"), Grouping(name, "year")]
    return []
