"""The `products` subgraph of Apollo's compatibility suite, made of the gateway's own parts.

Its schema is made by `schema.making` and printed by `schema.build`; it is served by the gateway's own application, engine,
limits and tracing, over a specification of no entities. What it answers is what the suite's reference answers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import strawberry
from strawberry.federation import schema_directive
from strawberry.federation.schema_directives import (
    External,
    Inaccessible,
    InterfaceObject,
    Key,
    Override,
    Provides,
    Requires,
    Shareable,
    Tag,
)
from strawberry.schema_directive import Location
from strawberry.types.field import StrawberryField

from gateway.definitions import Definitions
from schema.build import QuietSchema, print_subgraph
from schema.making import argument, make_field, make_object, many, read_field
from schema.names import camel
from schema.registry import Registry
from schema.subgraph import entities_field, service_field

USER = {
    "email": "support@apollographql.com",
    "name": "Jane Smith",
    "totalProductsCreated": 1337,
    "yearsOfEmployment": 10,
}
STUDIES = [
    {"study": {"caseNumber": "1234", "description": "Federation Study"}, "outcome": None},
    {"study": {"caseNumber": "1235", "description": "Studio Study"}, "outcome": None},
]
DIMENSIONS = {"size": "small", "weight": 1.0, "unit": "kg"}
PRODUCTS = [
    {
        "id": "apollo-federation",
        "sku": "federation",
        "package": "@apollo/federation",
        "variation": {"id": "OSS"},
        "dimensions": DIMENSIONS,
        "createdBy": USER,
        "notes": "For internal use only",
        "research": STUDIES[:1],
    },
    {
        "id": "apollo-studio",
        "sku": "studio",
        "package": "",
        "variation": {"id": "platform"},
        "dimensions": DIMENSIONS,
        "createdBy": USER,
        "notes": None,
        "research": STUDIES[1:],
    },
]
DEPRECATED = {
    "sku": "apollo-federation-v1",
    "package": "@apollo/federation-v1",
    "reason": "Migrate to Federation V2",
    "createdBy": USER,
}
INVENTORY = {"id": "apollo-oss", "deprecatedProducts": [DEPRECATED]}


@schema_directive(
    locations=[Location.OBJECT],
    name="custom",
    compose=True,
    import_url="https://myspecs.dev/myCustomDirective/v1.0",
)
class Custom:
    """A directive that composition has to keep."""


def kind(name: str, fields: Sequence[StrawberryField], *directives: object) -> Any:
    """An object type whose values are made by `record`."""
    return make_object(name, fields, name, directives=directives)


def record(made: Any, values: Mapping[str, Any]) -> Any:
    """A value of an object type."""
    one = object.__new__(made)
    one.values = values
    return one


def told(name: str, annotation: Any, *directives: object, of: Any = None) -> StrawberryField:
    """A field that the record itself holds, as a record of the type `of` or a list of them when it is an object."""

    def read(root: Any) -> Any:
        value = root.values.get(camel(name))
        if of is None or value is None:
            return value
        return [record(of, one) for one in value] if isinstance(value, list) else record(of, value)

    field = read_field(name, annotation, name, read)
    field.directives = list(directives)
    return field


def products_a_year(root: Any) -> int:
    """From what the router brought of the user."""
    return round(root.values["totalProductsCreated"] / root.values["yearsOfEmployment"])


def make_types() -> dict[str, Any]:
    """The object types of the suite's `products.graphql`."""
    a_year = read_field("average_products_created_per_year", int | None, "per year", products_a_year)
    a_year.directives = [Requires(fields="totalProductsCreated yearsOfEmployment")]
    user = kind(
        "User",
        [
            a_year,
            told("email", strawberry.ID),
            told("name", str | None, Override(override_from="users")),
            told("total_products_created", int | None, External()),
            told("years_of_employment", int, External()),
        ],
        Key(fields="email"),
    )
    study = kind("CaseStudy", [told("case_number", strawberry.ID), told("description", str | None)])
    research = kind(
        "ProductResearch",
        [told("study", study, of=study), told("outcome", str | None)],
        Key(fields="study { caseNumber }"),
    )
    dimension = kind(
        "ProductDimension",
        [told("size", str | None), told("weight", float | None), told("unit", str | None, Inaccessible())],
        Shareable(),
    )
    variation = kind("ProductVariation", [told("id", strawberry.ID)])
    deprecated = kind(
        "DeprecatedProduct",
        [told("sku", str), told("package", str), told("reason", str | None), told("created_by", user | None, of=user)],
        Key(fields="sku package"),
    )
    product = kind(
        "Product",
        [
            told("id", strawberry.ID),
            told("sku", str | None),
            told("package", str | None),
            told("variation", variation | None, of=variation),
            told("dimensions", dimension | None, of=dimension),
            told("created_by", user | None, Provides(fields="totalProductsCreated"), of=user),
            told("notes", str | None, Tag(name="internal")),
            told("research", many(research), of=research),
        ],
        *(Custom(), Key(fields="id"), Key(fields="sku package"), Key(fields="sku variation { id }")),
    )
    inventory = kind(
        "Inventory",
        [told("id", strawberry.ID), told("deprecated_products", many(deprecated), of=deprecated)],
        *(InterfaceObject(), Key(fields="id")),
    )
    entities = {"User": user, "ProductResearch": research, "DeprecatedProduct": deprecated}
    return {**entities, "Product": product, "Inventory": inventory}


def find(types: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """The entity of a representation, or None: the first that agrees with every key it holds. A user is as it is given."""
    name = given["__typename"]
    known: dict[str, list[dict[str, Any]]] = {
        "User": [{**USER, **given}] if given.get("email") == USER["email"] else [],
        "Product": PRODUCTS,
        "DeprecatedProduct": [DEPRECATED],
        "Inventory": [INVENTORY],
        "ProductResearch": STUDIES,
    }
    keys = {key: value for key, value in given.items() if key != "__typename"}
    return next((record(types[name], one) for one in known[name] if agrees(one, keys)), None)


def agrees(one: Any, keys: Mapping[str, Any]) -> bool:
    """Whether a record has these values, inner objects included."""
    return all(
        agrees(one.get(name), value) if isinstance(value, Mapping) else one.get(name) == value
        for name, value in keys.items()
    )


def make_query(types: Mapping[str, Any], subgraph: Callable[[], str]) -> Any:
    """The roots of the suite's `products.graphql`, and those of every subgraph."""

    def one(name: str) -> Callable[..., Any]:
        return lambda **given: find(types, {"__typename": name, **{key: given[key] for key in given if key != "info"}})

    def entities(representations: list[dict[str, Any]], **_info: object) -> list[Any]:
        return [find(types, given) for given in representations]

    identifier = [argument("id", strawberry.ID, "id", is_required=True)]
    product = make_field("product", types["Product"] | None, "product", one("Product"), identifier)
    keys = [argument(name, str, name, is_required=True) for name in ("sku", "package")]
    deprecated = make_field(
        "deprecated_product", types["DeprecatedProduct"] | None, "deprecated", one("DeprecatedProduct"), keys
    )
    deprecated.deprecation_reason = "Use product query instead"
    return make_object(
        "Query", [product, deprecated, entities_field(types, entities), service_field(subgraph)], "Query"
    )


def definitions() -> Definitions:
    """What the gateway's application serves as this subgraph."""
    types = make_types()
    schema = QuietSchema(
        query=make_query(types, lambda: print_subgraph(schema)),
        types=list(types.values()),
        federation_version="2.3",
    )
    return Definitions(Registry("0", {}, {}), {}, build=lambda _: schema)
